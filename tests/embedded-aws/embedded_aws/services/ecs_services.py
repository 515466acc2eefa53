"""ECS services: pages, limits and deployment configurations, and the scheduler that keeps them at
their count."""

from moto.core.responses import ActionResult
from moto.ecs.models import EC2ContainerServiceBackend
from moto.ecs.responses import DESCRIBE_SERVICES_TAGS, EC2ContainerServiceResponse

from ..errors import AwsError
from ..patching import replaces
from ..simulation import scheduler, tasks
from ..world import WORLD
from .ecs import at_most, cluster_of, paged, some

# What moto does not keep of a service, by its names in the API.
MORE = {
    "deploymentConfiguration": "deployment_configuration",
    "healthCheckGracePeriodSeconds": "health_check_grace_period_seconds",
}
# https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeploymentConfiguration.html
DEFAULTS = {"minimumHealthyPercent": 100, "maximumPercent": 200}
DAEMON_DEFAULTS = {"minimumHealthyPercent": 0, "maximumPercent": 100}


@replaces(EC2ContainerServiceResponse)
def list_services(self):
    cluster = cluster_of(self)
    arns = self.ecs_backend.list_services(
        cluster.name, self._get_param("schedulingStrategy"), self._get_param("launchType")
    )
    shown, token = paged(self, arns)
    return ActionResult({"serviceArns": shown, "nextToken": token})


@replaces(EC2ContainerServiceResponse)
def describe_services(self):
    cluster = cluster_of(self)
    named = some(self._get_param("services", []), "Services")
    services, failures = self.ecs_backend.describe_services(
        cluster.name, at_most(named, 10, "Services")
    )
    if "TAGS" in self._get_param("include", []):
        self._include_in_response(DESCRIBE_SERVICES_TAGS)
    else:
        self._exclude_from_response(DESCRIBE_SERVICES_TAGS)
    return ActionResult({"services": services, "failures": failures})


_moto_create_service = EC2ContainerServiceBackend.create_service
_moto_create_service_response = EC2ContainerServiceResponse.create_service
_moto_update_service = EC2ContainerServiceBackend.update_service
_moto_delete_service = EC2ContainerServiceBackend.delete_service


@replaces(EC2ContainerServiceResponse)
def create_service(self):
    answer = _moto_create_service_response(self)
    service = answer.result["service"]
    for name, attribute in MORE.items():
        if self._get_param(name) is not None:
            setattr(service, attribute, self._get_param(name))
    defaults = DAEMON_DEFAULTS if scheduler.is_daemon(service) else DEFAULTS
    told = getattr(service, "deployment_configuration", {})
    service.deployment_configuration = {**defaults, **told}
    return answer


@replaces(EC2ContainerServiceBackend)
def create_service(self, *args, **kwargs):
    service = _moto_create_service(self, *args, **kwargs)
    if WORLD.seeding:
        scheduler.start_all(service)
    scheduler.look_after(service, "scheduler-looks")
    return service


@replaces(EC2ContainerServiceBackend)
def update_service(self, properties):
    key = f"{properties.get('cluster', 'default')}:{properties['service'].split('/')[-1]}"
    service = self.services.get(key)
    if service is not None and properties.get("deployment_configuration"):
        before = getattr(service, "deployment_configuration", DEFAULTS)
        more = properties["deployment_configuration"]
        properties["deployment_configuration"] = {**before, **more}
    updated = _moto_update_service(self, properties)
    tasks.count(updated.cluster_name)
    scheduler.look_after(updated, "scheduler-looks")
    return updated


@replaces(EC2ContainerServiceBackend)
def delete_service(self, cluster_name, service_name, force):
    service = _moto_delete_service(self, cluster_name, service_name, force)
    service.desired_count = 0
    scheduler.look_after(service, "scheduler-looks")
    return service
