"""Elastic Load Balancing: targets by id *and* port, and the time they take to drain.

moto knows a target by its id alone, so an instance that serves two dynamic ports would be one
target; and it forgets a target the moment it is deregistered.
"""

from dataclasses import dataclass

from moto.core.responses import ActionResult
from moto.elbv2.exceptions import TargetGroupNotFoundError, TargetNotRunning
from moto.elbv2.models import ELBv2Backend, FakeTargetGroup
from moto.elbv2.responses import ELBV2Response

from .. import backends, pace
from ..errors import AwsError
from ..paging import page
from ..patching import replaces
from ..world import WORLD


@dataclass
class Target:
    id: str
    port: int
    registered_ms: float
    deregistered_ms: float | None = None
    # Whether its health checks fail for ever.
    fails: bool = False

    @property
    def registered(self):
        return self.deregistered_ms is None


def _group(arn):
    group = backends.elbv2().target_groups.get(arn)
    if group is None:
        raise TargetGroupNotFoundError()
    return group


def _members(group):
    """The group's targets by (id, port), including those still draining."""
    if not hasattr(group, "members"):
        group.members = {}
    delay_ms = float(group.attributes.get("deregistration_delay.timeout_seconds", 300)) * 1000
    now = WORLD.agenda.now_ms()
    for key, target in list(group.members.items()):
        if not target.registered and now >= target.deregistered_ms + delay_ms:
            del group.members[key]
    return group.members


def _key(group, target):
    # Without a port the group's own port is meant, when registering and when deregistering.
    return target["Id"], int(target.get("Port") or group.port)


def register(arn, targets, fails=False):
    group = _group(arn)
    members = _members(group)
    for target in targets:
        if group.target_type == "instance":
            instance = backends.ec2().get_instance_by_id(target["Id"])
            if instance is None or instance.state != "running":
                raise TargetNotRunning(instance_id=target["Id"])
        id_, port = _key(group, target)
        known = members.get((id_, port))
        if known is None or not known.registered:
            # The sample fleet has been serving for long.
            now = 0 if WORLD.seeding else WORLD.agenda.now_ms()
            members[id_, port] = Target(id_, port, now, fails=fails)


def deregister(arn, targets):
    """A target that is not registered is left out without an error, as AWS does."""
    group = _group(arn)
    members = _members(group)
    for target in targets:
        known = members.get(_key(group, target))
        if known is not None and known.registered:
            known.deregistered_ms = WORLD.agenda.now_ms()


def is_registered(arn, instance_id):
    """Whether the instance itself is registered, on the port of the group."""
    group = backends.elbv2().target_groups.get(arn)
    target = _members(group).get((instance_id, group.port)) if group else None
    return target is not None and target.registered


def state_of(arn, instance_id):
    """The health of the instance's own target."""
    group = _group(arn)
    return health(group, _members(group).get((instance_id, group.port)))[0]


def delay_of(arn):
    """How many seconds a target of the group drains."""
    return float(_group(arn).attributes.get("deregistration_delay.timeout_seconds", 300))


def deregister_everywhere(target_id):
    for arn, group in backends.elbv2().target_groups.items():
        held = [{"Id": t.id, "Port": t.port} for t in _members(group).values() if t.id == target_id]
        if held:
            deregister(arn, held)


def health(group, target):
    """(state, reason, description) of one member of the group, or of a stranger."""
    if target is None:
        return "unused", "Target.NotRegistered", "Target is not registered to the target group"
    if not target.registered:
        return (
            "draining",
            "Target.DeregistrationInProgress",
            "Target deregistration is in progress",
        )
    if group.target_type == "instance":
        instance = backends.ec2().get_instance_by_id(target.id)
        if instance is None or instance.state != "running":
            state = instance.state if instance else "terminated"
            return "unused", "Target.InvalidState", f"Target is in the {state} state"
    if target.fails:
        return "unhealthy", "Target.FailedHealthChecks", "Health checks failed"
    age_ms = WORLD.agenda.now_ms() - target.registered_ms
    young = age_ms < pace.seconds("initial-target", target.id) * 1000
    if WORLD.simulate and young:
        return "initial", "Elb.RegistrationInProgress", "Target registration is in progress"
    return "healthy", None, None


def members_of(group):
    """For the state snapshot: every target with its health, draining ones too."""
    return [(target, health(group, target)[0]) for target in _members(group).values()]


def routing(arn):
    """For each target of a group: whether new requests go to it, and whether it is one that serves.

    Where no registered target is healthy, all of them get requests.
    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/target-group-health-checks.html
    """
    group = _group(arn)
    seen = members_of(group)
    any_healthy = any(state == "healthy" for _, state in seen)
    for target, state in seen:
        routed = state == "healthy" if any_healthy else target.registered
        yield target, routed, state in ("healthy", "draining")


@replaces(FakeTargetGroup)
def deregister_terminated_instances(self, instance_ids):
    for instance_id in instance_ids:
        deregister_everywhere(instance_id)


@replaces(ELBv2Backend)
def register_targets(self, target_group_arn, instances):
    register(target_group_arn, instances)


@replaces(ELBv2Backend)
def deregister_targets(self, target_group_arn, instances):
    deregister(target_group_arn, instances)


@replaces(ELBV2Response)
def describe_target_health(self):
    group = _group(self._get_param("TargetGroupArn"))
    members = _members(group)
    asked = self._get_param("Targets", [])
    keys = [_key(group, target) for target in asked] or list(members)
    descriptions = []
    for id_, port in keys:
        state, reason, description = health(group, members.get((id_, port)))
        descriptions.append(
            {
                "Target": {"Id": id_, "Port": port},
                "HealthCheckPort": str(port),
                "TargetHealth": {"State": state, "Reason": reason, "Description": description},
            }
        )
    return ActionResult({"TargetHealthDescriptions": descriptions})


@replaces(ELBV2Response)
def describe_target_groups(self):
    groups = self.elbv2_backend.describe_target_groups(
        self._get_param("LoadBalancerArn"),
        self._get_param("TargetGroupArns", []),
        self._get_param("Names"),
    )
    shown, token = page(
        list(groups),
        self._get_param("Marker"),
        self._get_int_param("PageSize"),
        400,
        bad_token=("ValidationError", "The marker is not valid"),
    )
    return ActionResult({"TargetGroups": shown, "NextMarker": token})


@replaces(ELBV2Response)
def modify_target_group_attributes(self):
    # moto answers with what was asked, AWS with all attributes; the tests only write.
    arn = self._get_param("TargetGroupArn")
    attributes = {a["Key"]: a["Value"] for a in self._get_param("Attributes", [])}
    delay = attributes.get("deregistration_delay.timeout_seconds")
    if delay is not None and not 0 <= int(delay) <= 3600:
        raise AwsError(
            "InvalidConfigurationRequest",
            "Deregistration delay timeout must be between 0 and 3600 seconds",
        )
    _group(arn).attributes.update(attributes)
    return ActionResult({"Attributes": attributes})
