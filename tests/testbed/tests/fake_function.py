"""A function for the tests of the test bed: a Lambda runtime that does what its event asks for."""

import http.client
import json
import os
import sys
import time

api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])


def post(path, body):
    api.request("POST", f"/2018-06-01/runtime/{path}", json.dumps(body))
    api.getresponse().read()


def answer_batch(records):
    """Messages that say "fail" fail; one that says "exit" takes the whole batch with it."""
    for record in records:
        tries = int(record["attributes"]["ApproximateReceiveCount"])
        print(json.dumps({"body": record["body"], "tries": tries}), flush=True)
    if any(record["body"] == "exit" for record in records):
        sys.exit(1)
    failed = [record["messageId"] for record in records if record["body"] == "fail"]
    return {"batchItemFailures": [{"itemIdentifier": id} for id in failed]}


if "REFUSE_TO_START" in os.environ:
    post("init/error", {"errorType": "Configuration", "errorMessage": "SCOPE is missing"})
    sys.exit(1)

while True:
    api.request("GET", "/2018-06-01/runtime/invocation/next")
    response = api.getresponse()
    event = json.loads(response.read())
    invocation = f"invocation/{response.headers['lambda-runtime-aws-request-id']}"
    if "Records" in event:
        post(f"{invocation}/response", answer_batch(event["Records"]))
        continue
    time.sleep(event.get("sleep", 0))
    if "exit" in event:
        sys.exit(event["exit"])
    if "error" in event:
        post(f"{invocation}/error", {"errorType": "Oops", "errorMessage": event["error"]})
        continue
    print(json.dumps({"message": "worked"}), flush=True)
    post(f"{invocation}/response", {
        "pid": os.getpid(),
        "environment": sorted(os.environ),
        "deadline": int(response.headers["lambda-runtime-deadline-ms"]),
        "arn": response.headers["lambda-runtime-invoked-function-arn"],
    })
