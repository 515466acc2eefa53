"""What the user data of an instance says."""

import base64
import contextlib
import re


def decoded(user_data):
    text = str(user_data or "")
    # moto keeps the user data of a launch configuration decoded.
    with contextlib.suppress(ValueError):
        return base64.b64decode(text, validate=True).decode()
    return text


def cluster_in(user_data):
    """The cluster that the ECS agent is to join."""
    found = re.search(r"ECS_CLUSTER=(\S+)", decoded(user_data))
    return found.group(1) if found else None
