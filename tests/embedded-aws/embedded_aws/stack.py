"""Deploys the project's real template, and tells what it deployed."""

import contextlib
import json
import logging
import os
import warnings
from unittest import mock

from moto.awslambda.models import lambda_backends
from moto.cloudformation.models import Stack as MotoStack
from moto.cloudformation.parsing import clean_json
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

from . import backends
from .world import WORLD

NAME = "spot-handoff"


class _NoManagedPolicies:
    """The translator would ask IAM for AWS's managed policies; roles name theirs by ARN."""

    def load(self):
        return {}


def translate(path):
    """The SAM template as plain CloudFormation, which does not depend on parameter values."""
    # The translator takes the region from here when it looks for its partition.
    os.environ.setdefault("AWS_DEFAULT_REGION", backends.REGION)
    with open(path, encoding="utf-8") as file:
        template = yaml_parse(file.read())
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            # `sam deploy` uploads the built code and points here; no code runs inside moto.
            resource["Properties"].pop("CodeUri", None)
            resource["Properties"]["InlineCode"] = "see the test bed"
    return transform(template, {}, _NoManagedPolicies())


@contextlib.contextmanager
def _json_read_as_json():
    """Moto reads every template as YAML, which takes longer than all the rest of a new stack."""
    with mock.patch.object(MotoStack, "parse_template", staticmethod(json.loads)):
        yield


class Stack:
    """The deployed template. `parameters` are those that differ from the defaults."""

    def __init__(self, template, parameters=None):
        self.template = template
        self.parameters = dict(parameters or {})
        self._check(self.parameters)
        with _silence(), _json_read_as_json():
            self._stack = backends.cloudformation().create_stack(
                name=NAME, template=json.dumps(template), parameters=self.parameters, tags={}
            )
        if self._stack.status != "CREATE_COMPLETE":
            raise RuntimeError(f"the stack is {self._stack.status}")
        self._put_queue_policies()
        self._finish_tables()

    def redeployed(self, parameters):
        """The same template with other parameters. It replaces this one."""
        self._check(parameters)
        backends.cloudformation().delete_stack(NAME)
        return Stack(self.template, parameters)

    def _check(self, parameters):
        declared = self.template.get("Parameters", {})
        for name, value in parameters.items():
            if name not in declared:
                raise ValueError(f"the template has no parameter {name}")
            allowed = declared[name].get("AllowedValues")
            if allowed and value not in [str(item) for item in allowed]:
                raise ValueError(f"parameter {name} is one of {allowed}, not {value!r}")

    def _resources(self, type_):
        """(logical id, properties as written, moto's resource) of every resource of a type."""
        made = self._stack.resource_map._parsed_resources
        for logical_id, resource in self.template["Resources"].items():
            if resource["Type"] == type_:
                yield logical_id, resource.get("Properties", {}), made.get(logical_id)

    def _put_queue_policies(self):
        # moto's CloudFormation does not know AWS::SQS::QueuePolicy.
        for _, properties, _ in self._resources("AWS::SQS::QueuePolicy"):
            resolved = clean_json(properties, self._stack.resource_map)
            for url in resolved["Queues"]:
                attributes = {"Policy": json.dumps(resolved["PolicyDocument"])}
                backends.sqs().set_queue_attributes(url.split("/")[-1], attributes)

    def _finish_tables(self):
        # moto's CloudFormation creates the table, and leaves out the settings that come after its
        # creation.
        known = backends.dynamodb()
        for _, properties, table in self._resources("AWS::DynamoDB::Table"):
            resolved = clean_json(properties, self._stack.resource_map)
            expiry = resolved.get("TimeToLiveSpecification")
            if expiry:
                enabled = str(expiry["Enabled"]).lower() == "true"
                known.update_time_to_live(table.name, {**expiry, "Enabled": enabled})
            recovery = resolved.get("PointInTimeRecoverySpecification")
            if recovery:
                enabled = str(recovery["PointInTimeRecoveryEnabled"]).lower() == "true"
                wanted = {**recovery, "PointInTimeRecoveryEnabled": enabled}
                known.update_continuous_backups(table.name, wanted)

    def tables(self):
        for logical_id, _, made in self._resources("AWS::DynamoDB::Table"):
            # By name: after a rolled-back transaction, there is another object in its place.
            table = backends.dynamodb().get_table(made.name)
            yield {
                "logical_id": logical_id,
                "name": table.name,
                "arn": table.table_arn,
                "key": [part["AttributeName"] for part in table.schema],
                "expires_by": table.ttl.get("AttributeName"),
            }

    def functions(self):
        for logical_id, written, function in self._resources("AWS::Lambda::Function"):
            log = clean_json(written.get("LoggingConfig", {}), self._stack.resource_map)
            yield {
                "logical_id": logical_id,
                "name": function.function_name,
                # CloudFormation makes a text of a Number.
                "environment": {k: str(v) for k, v in function.environment_vars.items()},
                "timeout_seconds": int(function.timeout),
                "memory_mb": int(function.memory_size),
                "role": function.role,
                "log_group": log.get("LogGroup", f"/aws/lambda/{function.function_name}"),
            }

    def queues(self, url):
        for logical_id, _, queue in self._resources("AWS::SQS::Queue"):
            redrive = queue.redrive_policy or {}
            yield {
                "logical_id": logical_id,
                "name": queue.name,
                "url": f"{url}/{backends.ACCOUNT}/{queue.name}",
                "arn": queue.queue_arn,
                "visibility_timeout": queue.visibility_timeout,
                "max_receive_count": redrive.get("maxReceiveCount"),
                "dead_letter_arn": redrive.get("deadLetterTargetArn"),
            }

    def describe(self, url):
        queues = list(self.queues(url))
        by_arn = {queue["arn"]: queue for queue in queues}
        return {
            "parameters": self.parameters,
            "functions": list(self.functions()),
            "queues": queues,
            "tables": list(self.tables()),
            "event_source_mappings": list(self._mappings(by_arn)),
            "rules": list(self._rules()),
        }

    def _mappings(self, queues):
        lambdas = lambda_backends[backends.ACCOUNT][backends.REGION]
        # moto keeps what it knows about a mapping. The rest comes from the template.
        for _, written, mapping in self._resources("AWS::Lambda::EventSourceMapping"):
            properties = clean_json(written, self._stack.resource_map)
            queue = queues.get(mapping.event_source_arn, {})
            function = lambdas.get_function(mapping.function_arn)
            yield {
                "function": function.function_name,
                "queue_url": queue.get("url"),
                "queue_arn": mapping.event_source_arn,
                "batch_size": int(mapping.batch_size),
                "window_seconds": int(properties.get("MaximumBatchingWindowInSeconds", 0)),
                "report_batch_item_failures": "ReportBatchItemFailures"
                in properties.get("FunctionResponseTypes", []),
                "maximum_concurrency": properties.get("ScalingConfig", {}).get(
                    "MaximumConcurrency"
                ),
            }

    def _rules(self):
        for logical_id, _, rule in self._resources("AWS::Events::Rule"):
            yield {
                "logical_id": logical_id,
                "name": rule.name,
                "pattern": rule.event_pattern.get_pattern(),
                "targets": [target["Arn"] for target in rule.targets],
            }


@contextlib.contextmanager
def _silence():
    """moto warns about every resource type that it does not know, such as alarms."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)


def deploy(template, parameters=None):
    WORLD.stack = Stack(template, parameters)
