"""The errors of every action, from the API models in botocore."""

from botocore.loaders import Loader

# The services of the functions: the name in a signature, the name of the model.
SERVICES = {
    "autoscaling": "autoscaling",
    "dynamodb": "dynamodb",
    "ecs": "ecs",
    "elasticloadbalancing": "elbv2",
    "events": "events",
    "logs": "logs",
    "sns": "sns",
    "sqs": "sqs",
}


def all_of_them():
    """{service: {action: [{"code", "status"}]}}"""
    return {signed: _of(model) for signed, model in SERVICES.items()}


def _of(service):
    model = Loader().load_service_model(service, "service-2")
    shapes = model["shapes"]
    return {
        name: [_error(error["shape"], shapes[error["shape"]]) for error in action.get("errors", [])]
        for name, action in model["operations"].items()
    }


def _error(name, shape):
    told = shape.get("error", {})
    server = shape.get("fault") or name == "ServerException"
    status = told.get("httpStatusCode", 500 if server else 400)
    return {"code": told.get("code", name), "status": status}
