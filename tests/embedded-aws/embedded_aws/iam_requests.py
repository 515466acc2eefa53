"""What IAM checks for a call: each action with its resources and condition keys.

The Service Authorization Reference says which actions know resources, which condition keys they
have, and on which other actions they depend.
"""

from urllib.parse import parse_qs

from . import backends
from .simulation import capacity, launching

# Actions that know a resource. IAM checks any other action on `*`.
_GROUP_ACTIONS = {
    "AttachInstances",
    "CompleteLifecycleAction",
    "CreateOrUpdateTags",
    "DeleteTags",
    "DetachInstances",
    "LaunchInstances",
    "PutLifecycleHook",
    "RecordLifecycleActionHeartbeat",
    "ResumeProcesses",
    "SetDesiredCapacity",
    "SetInstanceHealth",
    "SetInstanceProtection",
    "SuspendProcesses",
    "TerminateInstanceInAutoScalingGroup",
    "UpdateAutoScalingGroup",
}
_CLUSTER_ACTIONS = {"ListContainerInstances", "DescribeClusters"}


def of(call):
    """[(action, resource, {condition key: values})], all of which have to be allowed."""
    by_service = {
        "autoscaling": _autoscaling,
        "dynamodb": _dynamodb,
        "ecs": _ecs,
        "elasticloadbalancing": _elasticloadbalancing,
        "events": _events,
        "logs": _logs,
        "sns": _sns,
        "sqs": _sqs,
        "ssm": _ssm,
    }
    asked = by_service.get(call.service, _anything)
    return list(asked(call))


def _arn(service, resource, region=backends.REGION):
    return f"arn:aws:{service}:{region}:{backends.ACCOUNT}:{resource}"


def _anything(call):
    yield f"{call.service}:{call.action}", "*", {}


# The actions that IAM checks for the writes and reads of a transaction: there is no
# dynamodb:TransactWriteItems.
_PARTS_OF_TRANSACTIONS = {
    "ConditionCheck": "ConditionCheckItem",
    "Delete": "DeleteItem",
    "Get": "GetItem",
    "Put": "PutItem",
    "Update": "UpdateItem",
}
_TABLES_UNNAMED = {"DescribeEndpoints", "DescribeLimits", "ListTables"}


def _dynamodb(call):
    parameters = call.parameters
    if call.action in _TABLES_UNNAMED:
        yield f"dynamodb:{call.action}", "*", {}
    elif "TransactItems" in parameters:
        for item in parameters["TransactItems"]:
            for kind, part in item.items():
                yield f"dynamodb:{_PARTS_OF_TRANSACTIONS[kind]}", _table(part["TableName"]), {}
    elif "RequestItems" in parameters:
        for name in parameters["RequestItems"]:
            yield f"dynamodb:{call.action}", _table(name), {}
    else:
        named = _table(parameters.get("TableName") or parameters.get("ResourceArn", "*"))
        index = f"/index/{parameters['IndexName']}" if "IndexName" in parameters else ""
        yield f"dynamodb:{call.action}", named + index, {}


def _table(named):
    return named if named.startswith("arn:") else _arn("dynamodb", f"table/{named}")


def _events(call):
    for entry in call.parameters.get("Entries", []):
        said = {"events:source": [entry["Source"]], "events:detail-type": [entry["DetailType"]]}
        yield f"events:{call.action}", _arn("events", "event-bus/default"), said


def _logs(call):
    parameters = call.parameters
    named = parameters.get("logGroupIdentifier") or parameters.get("logGroupName", "*")
    group = named if named.startswith("arn:") else _arn("logs", f"log-group:{named}")
    yield f"logs:{call.action}", f"{group.removesuffix(':*')}:*", {}


def _sns(call):
    action = f"sns:{call.action.removesuffix('Batch')}"
    yield action, parse_qs(call.body.decode()).get("TopicArn", ["*"])[0], {}


def _sqs(call):
    # A batch needs the permission of the calls that it consists of.
    action = f"sqs:{call.action.removesuffix('Batch')}"
    yield action, _arn("sqs", call.parameters["QueueUrl"].split("/")[-1]), {}


def _ssm(call):
    if call.action not in ("SendCommand", "DescribeDocument"):
        yield from _anything(call)
        return
    action, parameters = f"ssm:{call.action}", call.parameters
    named = parameters.get("DocumentName") or parameters.get("Name", "*")
    name = named.split(":document/")[-1]
    # Documents of AWS are in no account.
    account = "" if name.startswith(("AWS-", "Amazon")) else backends.ACCOUNT
    document = f"arn:aws:ssm:{backends.REGION}:{account}:document/{name}"
    tags = backends.ssm()._resource_tags.get("Document", {}).get(name, {})
    if call.action == "DescribeDocument":
        yield action, document, {}
        return
    yield action, document, _tagged(tags)
    for instance in parameters.get("InstanceIds", []):
        yield action, _arn("ec2", f"instance/{instance}"), {}


def _tagged(tags):
    """Condition keys of the tags on a resource of Systems Manager: IAM's own, and the service's."""
    return {f"{kind}/{key}": [value] for kind in ("aws:ResourceTag", "ssm:resourceTag") for key, value in tags.items()}


def _elasticloadbalancing(call):
    if call.action in ("DeregisterTargets", "RegisterTargets"):
        arn = parse_qs(call.body.decode())["TargetGroupArn"][0]
        yield f"elasticloadbalancing:{call.action}", arn, {}
    else:
        yield from _anything(call)


def _ecs(call):
    action, parameters = f"ecs:{call.action}", call.parameters
    if call.action in _CLUSTER_ACTIONS:
        for cluster in parameters.get("clusters") or [parameters.get("cluster", "default")]:
            yield action, _cluster(cluster), {}
        return
    if call.action == "DescribeCapacityProviders":
        for provider in parameters.get("capacityProviders", ["*"]):
            yield action, _arn("ecs", f"capacity-provider/{provider}"), {}
        return
    if "cluster" not in parameters:
        yield action, "*", {}
        return
    cluster = _cluster(parameters["cluster"])
    name = cluster.split("/")[-1]

    def named(kind, names):
        arns = (n if n.startswith("arn:") else _arn("ecs", f"{kind}/{name}/{n}") for n in names)
        return [(action, arn, {"ecs:cluster": [cluster]}) for arn in arns]

    if call.action in ("DescribeContainerInstances", "UpdateContainerInstancesState"):
        yield from named("container-instance", parameters["containerInstances"])
    elif call.action == "ListTasks":
        if "containerInstance" in parameters:
            yield from named("container-instance", [parameters["containerInstance"]])
        else:
            # https://github.com/cdklabs/construct-hub/pull/1207
            yield action, "*", {"ecs:cluster": [cluster]}
    elif call.action == "DescribeTasks":
        yield from named("task", parameters["tasks"])
    elif call.action == "StopTask":
        yield from named("task", [parameters["task"]])
    elif call.action == "DescribeServices":
        yield from named("service", parameters["services"])
    elif call.action == "RunTask":
        yield from _run_task(parameters, cluster)
    else:
        yield action, "*", {"ecs:cluster": [cluster]}


def _cluster(named):
    return _arn("ecs", f"cluster/{named.split('/')[-1]}")


def _run_task(parameters, cluster):
    definition = backends.ecs().describe_task_definition(parameters["taskDefinition"])
    yield "ecs:RunTask", definition.arn, {"ecs:cluster": [cluster]}
    if parameters.get("tags"):
        task = _arn("ecs", f"task/{cluster.split('/')[-1]}/*")
        yield "ecs:TagResource", task, {"ecs:CreateAction": ["RunTask"]}
    overrides = parameters.get("overrides") or {}
    roles = {
        overrides.get("taskRoleArn") or getattr(definition, "task_role_arn", None),
        overrides.get("executionRoleArn") or getattr(definition, "execution_role_arn", None),
    }
    for role in sorted(role for role in roles if role):
        yield "iam:PassRole", role, {"iam:PassedToService": ["ecs-tasks.amazonaws.com"]}


def _autoscaling(call):
    action = f"autoscaling:{call.action}"
    if call.action not in _GROUP_ACTIONS:
        yield action, "*", {}
        return
    parameters = parse_qs(call.body.decode())
    keys = [v[0] for k, v in parameters.items() if k.startswith("Tags.") and k.endswith(".Key")]
    for group in _groups(parameters):
        context = {f"aws:ResourceTag/{tag['Key']}": [tag.get("Value", "")] for tag in group.tags}
        if keys:
            context["aws:TagKeys"] = keys
        yield action, group.arn, context
        if call.action == "LaunchInstances":
            yield from _launch(group)
        if call.action == "UpdateAutoScalingGroup" and _names_template(parameters):
            yield from _runs(group)


def groups_of(call):
    """The groups that an action of Auto Scaling changes."""
    if call.action not in _GROUP_ACTIONS:
        return []
    return _groups(parse_qs(call.body.decode()))


def _names_template(parameters):
    """Whoever gives a group a launch template must be allowed to launch from it.

    https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-launch-template-permissions.html
    """
    return any("LaunchTemplateId" in key or "LaunchTemplateName" in key for key in parameters)


def _groups(parameters):
    """The groups a call is about. One that does not exist is refused by Auto Scaling itself."""
    names = set(parameters.get("AutoScalingGroupName", []))
    names |= {
        v[0] for k, v in parameters.items() if k.startswith("Tags.") and k.endswith(".ResourceId")
    }
    states = [capacity.state_of(instance) for instance in parameters.get("InstanceId", [])]
    names |= {state.auto_scaling_group.name for state in states if state is not None}
    known = backends.autoscaling().autoscaling_groups
    return [known[name] for name in sorted(names) if name in known]


def _launch(group):
    """LaunchInstances makes an EC2 Fleet, with the permissions of its caller.

    https://docs.aws.amazon.com/autoscaling/ec2/userguide/launching-instances-synchronous-provisioning.html
    names the first two. EC2 needs the others from whoever launches from a template. The
    permission of Systems Manager is in
    https://docs.aws.amazon.com/autoscaling/ec2/userguide/using-systems-manager-parameters.html
    """
    yield "ec2:DescribeLaunchTemplateVersions", "*", {}
    template = group.ec2_launch_template
    if template is None:
        return
    yield "ec2:CreateFleet", _arn("ec2", "fleet/*"), {}
    launch_template = _arn("ec2", f"launch-template/{template.id}")
    yield "ec2:CreateFleet", launch_template, {}
    yield from _runs(group)


def _runs(group):
    """RunInstances from the group's launch template."""
    template = group.ec2_launch_template
    if template is None:
        return
    launch_template = _arn("ec2", f"launch-template/{template.id}")
    from_template = {"ec2:LaunchTemplate": [launch_template]}
    yield "ec2:RunInstances", launch_template, from_template
    for resource in ("instance", "network-interface", "security-group", "subnet", "volume"):
        yield "ec2:RunInstances", _arn("ec2", f"{resource}/*"), from_template
    data = template.latest_version().data
    if data.get("ImageId"):
        image = data["ImageId"]
        if image.startswith(launching.RESOLVED):
            yield "ssm:GetParameters", _parameter(image.removeprefix(launching.RESOLVED)), {}
            image = "*"
        # Images are of the region, not of the account.
        yield "ec2:RunInstances", f"arn:aws:ec2:{backends.REGION}::image/{image}", from_template
    if data.get("ElasticInferenceAccelerators"):
        yield "ec2:RunInstances", _arn("elastic-inference", "elastic-inference-accelerator/*"), {}
    if data.get("TagSpecifications"):
        created = {"ec2:CreateAction": ["RunInstances"]}
        yield "ec2:CreateTags", _arn("ec2", "instance/*"), created
    profile = (data.get("IamInstanceProfile") or {}).get("Arn")
    if profile:
        role = backends.iam().get_instance_profile_by_arn(profile).roles[0]
        yield "iam:PassRole", role.arn, {"iam:PassedToService": ["ec2.amazonaws.com"]}


def _parameter(named):
    """A parameter by its name, with or without a version or a label behind it. It has no tags."""
    name = named.split(":")[0].removeprefix("/")
    # AWS's own parameters are in no account.
    account = "" if name.startswith("aws/service/") else backends.ACCOUNT
    return f"arn:aws:ssm:{backends.REGION}:{account}:parameter/{name}"
