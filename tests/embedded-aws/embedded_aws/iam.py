"""IAM on demand: a caller may do what the role of the function of its name allows, no more.

The test bed signs a function's calls with the function's name for an access key. Anybody else
may do everything.
"""

import json
from urllib.parse import parse_qs

from . import backends, errors
from .iam_policy import allowed
from .world import WORLD

# The actions AWS asks for besides the one that is called.
ALSO_NEEDED = {
    "autoscaling:LaunchInstances": ["ec2:CreateFleet", "ec2:DescribeLaunchTemplateVersions"],
}


def denial(call):
    """The answer for a call the caller may not make, or None."""
    role = _role_of(call.caller)
    if role is None:
        return None
    # A batch needs the permission of what it is a batch of.
    action = f"{call.service}:{call.action.removesuffix('Batch')}"
    resource, context = _about(call)
    needed = [(action, resource)] + [(also, "*") for also in ALSO_NEEDED.get(action, [])]
    for action, resource in needed:
        if not allowed(list(_statements(role)), action, resource, context):
            return _denied(call, role, action, resource)
    return None


def _denied(call, role, action, resource):
    who = f"arn:aws:sts::{backends.ACCOUNT}:assumed-role/{role.name}/{call.caller}"
    message = (
        f"User: {who} is not authorized to perform: {action} on resource: {resource} "
        f"because no identity-based policy allows the {action} action"
    )
    if call.service in errors.QUERY_SERVICES:
        return errors.answer(call.service, "AccessDenied", message, 403)
    return errors.answer(call.service, "AccessDeniedException", message, 400)


def _role_of(caller):
    for function in WORLD.stack.functions():
        # Functions are named after the stack: spot-handoff-drain-tasks is drain-tasks.
        if function["name"].endswith(f"-{caller}"):
            name = function["role"].split("/")[-1]
            return next(r for r in backends.iam().roles.values() if r.name == name)
    return None


def _statements(role):
    documents = list(role.policies.values())
    documents += [policy.document for policy in role.managed_policies.values()]
    for document in documents:
        parsed = json.loads(document) if isinstance(document, str) else document
        statements = parsed["Statement"]
        yield from statements if isinstance(statements, list) else [statements]


def _about(call):
    """(the ARN the call is about, the condition keys it sets), where the call says so plainly.

    The ARN is `*` where it does not: every resource of a statement covers that.
    """
    region = f"{backends.REGION}:{backends.ACCOUNT}"
    if call.service == "sqs":
        return f"arn:aws:sqs:{region}:{call.parameters['QueueUrl'].split('/')[-1]}", {}
    if call.service == "ecs" and call.parameters.get("cluster"):
        name = call.parameters["cluster"].split("/")[-1]
        cluster = f"arn:aws:ecs:{region}:cluster/{name}"
        about_cluster = call.action == "ListContainerInstances"
        return cluster if about_cluster else "*", {"ecs:cluster": [cluster]}
    if call.service == "autoscaling" and not call.action.startswith("Describe"):
        return _about_group(parse_qs(call.body.decode()))
    return "*", {}


def _about_group(parameters):
    names = parameters.get("AutoScalingGroupName") or parameters.get("Tags.member.1.ResourceId")
    group = backends.autoscaling().autoscaling_groups.get((names or [""])[0])
    if group is None:
        return "*", {}
    context = {f"aws:ResourceTag/{t['Key']}": [t.get("Value", "")] for t in group.tags}
    # Said even when the group has no tags, so that a test for a missing one has its answer.
    context["aws:ResourceTag/"] = []
    keys = [v[0] for k, v in parameters.items() if k.startswith("Tags.") and k.endswith(".Key")]
    if keys:
        context["aws:TagKeys"] = keys
    return group.arn, context
