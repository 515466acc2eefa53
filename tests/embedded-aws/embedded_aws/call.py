"""A request, parsed just far enough to know who asks which service for what."""

import json
import re
from dataclasses import dataclass
from urllib.parse import parse_qs

_CREDENTIAL = re.compile(r"Credential=([^/]+)/\d{8}/([^/]+)/([^/]+)/aws4_request")


@dataclass
class Call:
    method: str
    path: str
    headers: object
    body: bytes
    # The access key id of the signature. The test bed gives each function its name as the key.
    caller: str = "anonymous"
    service: str = "unknown"
    action: str = "unknown"

    @classmethod
    def read(cls, method, path, headers, body):
        call = cls(method, path, headers, body)
        found = _CREDENTIAL.search(headers.get("Authorization") or "")
        if found:
            call.caller, _, call.service = found.groups()
        target = headers.get("X-Amz-Target")
        if target:
            call.action = target.split(".")[-1]
        elif (headers.get("Content-Type") or "").startswith("application/x-www-form-urlencoded"):
            call.action = parse_qs(body.decode()).get("Action", ["unknown"])[0]
        else:
            call.action = f"{method} {path}"
        return call

    @property
    def parameters(self):
        """The parameters of a call in JSON."""
        return json.loads(self.body or b"{}")
