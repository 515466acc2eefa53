"""IAM on demand: a caller may only do what the role of the function with its name allows.

The test bed signs a function's calls with the function's name as the access key. It signs the
calls that Lambda makes for the function (polling its queue) with the name and `.poller`. Anybody
else may do everything.
"""

import json

from moto.iam.aws_managed_policies import aws_managed_policies_data

from . import backends, errors, iam_requests, stack
from .iam_policy import allowed, listed
from .world import WORLD


# AWS's managed policies for what Lambda does under the role of a function: polling a queue,
# writing logs, tracing.
OF_LAMBDA = ["AWSLambdaSQSQueueExecutionRole", "AWSXRayDaemonWriteAccess"]


def denial(call):
    """The answer for a call the caller may not make, or None."""
    role = _role_of(call.caller)
    if role is None:
        return None
    statements = list(_statements(role))
    for action, resource, context in iam_requests.of(call):
        if not allowed(statements, action, resource, context):
            return _denied(call, role, action, resource)
    return None


def forget(caller, action):
    """Takes an action out of the role of a function, to see what happens without it."""
    role = _role_of(caller)
    if role is None:
        raise ValueError(f"there is no function {caller}")
    taken = 0
    for name, document in list(role.policies.items()):
        parsed = _parsed(document)
        for statement in parsed["Statement"]:
            kept = [one for one in listed(statement["Action"]) if one != action]
            taken += len(listed(statement["Action"])) - len(kept)
            statement["Action"] = kept
        role.policies[name] = json.dumps(parsed)
    if not taken:
        raise ValueError(f"the role of {caller} has no {action}")


def permissions():
    """The actions that each role of the stack allows, and which of them Lambda may need."""
    names = [f["name"].removeprefix(f"{stack.NAME}-") for f in WORLD.stack.functions()]
    return {
        "roles": {name: _actions(_statements(_role_of(name))) for name in names},
        "lambda": sorted({action for name in OF_LAMBDA for action in _managed(name)}),
    }


def _actions(statements):
    return sorted({action for s in statements for action in listed(s["Action"])})


def _managed(name):
    document = json.loads(aws_managed_policies_data)[name]["Document"]
    return _actions(listed(document["Statement"]))


def _denied(call, role, action, resource):
    who = f"arn:aws:sts::{backends.ACCOUNT}:assumed-role/{role.name}/{call.caller}"
    message = (
        f"User: {who} is not authorized to perform: {action} on resource: {resource} "
        f"because no identity-based policy allows the {action} action"
    )
    return errors.denied(call.service, message)


def _role_of(caller):
    function_name = caller.removesuffix(".poller")
    for function in WORLD.stack.functions():
        # Functions are named after the stack: spot-handoff-drain-tasks is drain-tasks.
        if function["name"].endswith(f"-{function_name}"):
            name = function["role"].split("/")[-1]
            return next(r for r in backends.iam().roles.values() if r.name == name)
    return None


def _parsed(document):
    parsed = json.loads(document) if isinstance(document, str) else document
    # CloudFormation leaves a statement out that is AWS::NoValue; moto puts None.
    statements = [one for one in listed(parsed["Statement"]) if one is not None]
    return {**parsed, "Statement": statements}


def _statements(role):
    documents = list(role.policies.values())
    documents += [policy.document for policy in role.managed_policies.values()]
    for document in documents:
        yield from _parsed(document)["Statement"]
