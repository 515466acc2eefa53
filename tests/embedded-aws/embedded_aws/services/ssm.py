"""Systems Manager's Run Command: it refuses commands in AWS's words, and delivers them to agents
that really run them.

What moto has stays: documents and their tags. `simulation.scripts` plays an agent.
"""

import re

from moto.core.responses import ActionResult
from moto.ssm.exceptions import InvalidDocument
from moto.ssm.models import SimpleSystemManagerBackend
from moto.ssm.responses import SimpleSystemManagerResponse

from .. import backends
from ..errors import AwsError
from ..patching import replaces
from ..simulation import scripts
from ..world import WORLD

# https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_SendCommand.html
MOST_INSTANCES = 50  # belief: send-command-limits
# https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_SendCommand.html
LEAST_TIMEOUT_SECONDS = 30  # belief: send-command-limits
# The output of a step that ListCommandInvocations answers with.
MOST_OUTPUT = 2500  # belief: command-output


def document_named(named):
    """A document by its name or ARN, as moto has it; None where there is none."""
    name = named.split(":document/")[-1]
    known = backends.ssm()._documents.get(name)
    return known.get_default_version() if known else None


def tags_of(name):
    return backends.ssm()._resource_tags.get("Document", {}).get(name.split(":document/")[-1], {})


@replaces(SimpleSystemManagerResponse)
def send_command(self):
    parameters = self._get_param("Parameters", {})
    instances = self._get_param("InstanceIds", [])
    timeout = self._get_param("TimeoutSeconds") or 3600
    named = self._get_param("DocumentName")
    document = document_named(named)
    if document is None or document.document_type != "Command":
        raise AwsError("InvalidDocument", f"Document with name {named} does not exist.")
    if len(instances) > MOST_INSTANCES or int(timeout) < LEAST_TIMEOUT_SECONDS:
        raise AwsError("ValidationException", "1 validation error detected")
    if len(set(instances)) < len(instances):
        raise AwsError("DuplicateInstanceId", "")
    values = _values(document, parameters)
    unknown = [id_ for id_ in instances if not scripts.is_managed(id_)]
    if unknown:
        raise AwsError(
            "InvalidInstanceId",
            f"Instances [[{', '.join(unknown)}]] not in a valid state for account {backends.ACCOUNT}",
        )
    command = scripts.Command(
        id=WORLD.uuid("command"),
        document=document,
        name=named,
        values=values,
        comment=self._get_param("Comment", ""),
        timeout=int(timeout),
        sent_ms=WORLD.agenda.now_ms(),
    )
    for id_ in instances:
        scripts.deliver(command, id_)
    answer = {
        "CommandId": command.id,
        "DocumentName": named,
        "Comment": command.comment,
        "InstanceIds": instances,
        "Status": "Pending",
        "StatusDetails": "Pending",
        "Parameters": parameters,
        "TimeoutSeconds": command.timeout,
    }
    return ActionResult({"Command": answer})


def _values(document, parameters):
    """{name: value} of every parameter that the document declares."""
    declared = document.content_json.get("parameters") or {}
    unknown = sorted(set(parameters) - set(declared))
    if unknown:
        raise AwsError("InvalidParameters", f"Parameter {unknown[0]} is not defined in the document.")
    values = {}
    for name, about in declared.items():
        if name in parameters:
            values[name] = parameters[name][0]
        elif "default" in about:
            values[name] = about["default"]
        else:
            raise AwsError("InvalidParameters", f"Parameter {name} requires a value.")
        pattern = about.get("allowedPattern")
        if pattern and not re.search(pattern, str(values[name])):
            raise AwsError("InvalidParameters", f"Parameter {name} does not match {pattern}.")
    return values


@replaces(SimpleSystemManagerResponse)
def list_command_invocations(self):
    command_id, instance = self._get_param("CommandId"), self._get_param("InstanceId")
    after = {f["key"]: f["value"] for f in self._get_param("Filters", [])}.get("InvokedAfter")
    found = [
        one
        for one in WORLD.invocations
        if command_id in (None, one.command.id)
        and instance in (None, one.instance)
        and (after is None or one.requested() >= after)
    ]
    details = self._get_param("Details")
    return ActionResult({"CommandInvocations": [_invocation(one, details) for one in found]})


def _invocation(one, details):
    answer = {
        "CommandId": one.command.id,
        "InstanceId": one.instance,
        "Comment": one.command.comment,
        "DocumentName": one.command.name,
        "RequestedDateTime": one.command.sent_ms / 1000,
        "Status": one.status,
        "StatusDetails": one.details,
        "CommandPlugins": [],
    }
    if details:
        answer["CommandPlugins"] = [
            {
                "Name": step.name,
                "Status": step.status,
                "StatusDetails": step.details,
                "ResponseCode": step.code,
                "Output": step.output[:MOST_OUTPUT],
            }
            for step in one.steps
        ]
    return answer


@replaces(SimpleSystemManagerResponse)
def describe_instance_information(self):
    """What Systems Manager knows about managed instances. It leaves out an instance that it never
    heard of."""
    wanted = None
    for one in self._get_param("Filters", []):
        if one["Key"] == "InstanceIds":
            wanted = one["Values"]
    known = [
        {
            "InstanceId": instance.id,
            "PingStatus": "ConnectionLost" if scripts.agent_of(instance.id) else "Online",
            "PlatformType": "Linux",
            "ResourceType": "EC2Instance",
        }
        for instance in backends.ec2().all_instances()
        if scripts.is_managed(instance.id) and (wanted is None or instance.id in wanted)
    ]
    return ActionResult({"InstanceInformationList": known})


_moto_describe_document = SimpleSystemManagerBackend.describe_document


@replaces(SimpleSystemManagerBackend)
def describe_document(self, name, document_version, version_name):
    if document_named(name) is None:
        raise InvalidDocument("The specified document does not exist.")
    plain = name.split(":document/")[-1]
    return _moto_describe_document(self, plain, document_version, version_name)
