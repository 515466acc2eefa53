"""Lambda: Invoke runs the function where functions run, outside moto.

The test bed says where that is (`POST /_embedded/functions`). Meanwhile the lock that guards moto
is free, since the function calls this AWS.
"""

import http.client
import re
from urllib.parse import unquote, urlsplit

from .. import errors
from ..world import WORLD

# https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
_INVOKE = re.compile(r"/2015-03-31/functions/([^/]+)/invocations")
# Longer than a function may take.
_PATIENCE_SECONDS = 960  # belief: invocation-longest


def is_invocation(call):
    return call.method == "POST" and _INVOKE.fullmatch(urlsplit(call.path).path) is not None


def invoke(call):
    """(status, headers, body) of an Invoke that waits for the end of the function."""
    name = unquote(_INVOKE.fullmatch(urlsplit(call.path).path).group(1)).split(":")[-1]
    if name not in {function["name"] for function in WORLD.stack.functions()}:
        message = f"Function not found: {name}"
        return errors.answer("lambda", "ResourceNotFoundException", message, 404)
    kind = call.headers.get("X-Amz-Invocation-Type") or "RequestResponse"
    if kind != "RequestResponse":
        message = f"the embedded AWS invokes by RequestResponse alone, not by {kind}"
        return errors.answer("lambda", "InvalidParameterValueException", message)
    if WORLD.functions_url is None:
        message = "no functions run in this world"
        return errors.answer("lambda", "ServiceException", message, 500)
    return _forward(name, call.body)


def _forward(name, payload):
    where = urlsplit(WORLD.functions_url)
    connection = http.client.HTTPConnection(where.hostname, where.port, timeout=_PATIENCE_SECONDS)
    try:
        connection.request("POST", f"/{name}", body=payload)
        response = connection.getresponse()
        body = response.read()
    finally:
        connection.close()
    headers = {"Content-Type": "application/json", "X-Amz-Executed-Version": "$LATEST"}
    failed = response.getheader("X-Amz-Function-Error")
    if failed:
        headers["X-Amz-Function-Error"] = failed
    return 200, headers, body
