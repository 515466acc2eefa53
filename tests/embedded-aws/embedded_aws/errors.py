"""Errors of AWS, both as moto exceptions and as whole answers for calls moto never sees."""

import json
from xml.sax.saxutils import escape

from moto.core.exceptions import ServiceException

QUERY_SERVICES = {"autoscaling", "elasticloadbalancing", "ec2", "iam", "sts", "cloudformation", "sns"}

# What each service says when it is asked too often.
THROTTLING = {
    "autoscaling": "Throttling",
    "elasticloadbalancing": "Throttling",
    "dynamodb": "ThrottlingException",
    "ecs": "ThrottlingException",
    "sqs": "ThrottlingException",
    "events": "ThrottlingException",
    "logs": "ThrottlingException",
    "ssm": "ThrottlingException",
    "sns": "Throttled",
}


class AwsError(ServiceException):
    def __init__(self, code, message):
        super().__init__(code, message)


def validation_error(message):
    """How Auto Scaling reports nearly everything that it refuses."""
    return AwsError("ValidationError", message)


def too_long(value, field, limit):
    """The wording all services share for a list that is longer than the model allows."""
    shown = ", ".join(str(item) for item in value)
    return (
        f"1 validation error detected: Value '[{shown}]' at '{field}' failed to satisfy "
        f"constraint: Member must have length less than or equal to {limit}"
    )


def denied(service, message):
    """The answer to a caller who lacks the permission."""
    if service == "sns":
        return answer(service, "AuthorizationError", message, 403)
    if service in QUERY_SERVICES:
        return answer(service, "AccessDenied", message, 403)
    return answer(service, "AccessDeniedException", message, 400)


def answer(service, code, message, status=400):
    """(status, headers, body) of an error in the protocol of `service`."""
    if service in QUERY_SERVICES:
        kind = "Sender" if status < 500 else "Receiver"
        body = (
            f"<ErrorResponse><Error><Type>{kind}</Type><Code>{escape(code)}</Code>"
            f"<Message>{escape(message)}</Message></Error>"
            "<RequestId>00000000-0000-4000-8000-000000000000</RequestId></ErrorResponse>"
        )
        return status, {"Content-Type": "text/xml"}, body.encode()
    version = "1.0" if service == "dynamodb" else "1.1"
    headers = {"Content-Type": f"application/x-amz-json-{version}", "x-amzn-ErrorType": code}
    if service == "sqs":
        headers["x-amzn-query-error"] = f"{code};{'Sender' if status < 500 else 'Receiver'}"
    return status, headers, json.dumps({"__type": code, "message": message}).encode()
