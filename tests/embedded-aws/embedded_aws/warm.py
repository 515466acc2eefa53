"""Calls that are made once before the first world, so that no world pays for the first time."""

import json

from . import backends, dispatch
from .call import Call

QUERY = "application/x-www-form-urlencoded"
JSON = "application/x-amz-json-1.1"
JSON_1_0 = "application/x-amz-json-1.0"

CALLS = [
    ("autoscaling", QUERY, "", "Action=DescribeAutoScalingInstances&Version=2011-01-01"),
    ("autoscaling", QUERY, "", "Action=DescribeAutoScalingGroups&Version=2011-01-01"),
    ("elasticloadbalancing", QUERY, "", "Action=DescribeTargetGroups&Version=2015-12-01"),
    ("ecs", JSON, "AmazonEC2ContainerServiceV20141113.ListTasks", '{"cluster": "inference"}'),
    ("sqs", JSON, "AmazonSQS.ListQueues", "{}"),
    ("events", JSON, "AWSEvents.ListRules", "{}"),
]


# moto builds its parsers of expressions and its writers of answers when it first needs them.
KEY = {"of": {"S": "warm"}, "what": {"S": "warm"}}
NAMES = {"ExpressionAttributeNames": {"#of": "of"}}
VALUES = {"ExpressionAttributeValues": {":of": {"S": "warm"}}}
TABLE_CALLS = [
    (
        "CreateTable",
        {
            "AttributeDefinitions": [{"AttributeName": n, "AttributeType": "S"} for n in KEY],
            "KeySchema": [
                {"AttributeName": "of", "KeyType": "HASH"},
                {"AttributeName": "what", "KeyType": "RANGE"},
            ],
            "BillingMode": "PAY_PER_REQUEST",
        },
    ),
    ("PutItem", {"Item": KEY, "ConditionExpression": "attribute_not_exists(#of)", **NAMES}),
    ("Query", {"KeyConditionExpression": "#of = :of", **NAMES, **VALUES}),
    ("GetItem", {"Key": KEY, "ConsistentRead": True}),
    ("DeleteTable", {}),
]


def calls():
    yield from CALLS
    for action, parameters in TABLE_CALLS:
        body = json.dumps({"TableName": "warm", **parameters})
        yield "dynamodb", JSON_1_0, f"DynamoDB_20120810.{action}", body


def up():
    for service, content_type, target, body in calls():
        scope = f"Credential=warm/20260101/{backends.REGION}/{service}/aws4_request"
        headers = {"Authorization": f"AWS4-HMAC-SHA256 {scope}", "Content-Type": content_type}
        if target:
            headers["X-Amz-Target"] = target
        call = Call.read("POST", "/", headers, body.encode())
        status, _, answer = dispatch.answer(call, "http://127.0.0.1")
        assert status == 200, answer
