"""Latency, and AWS's request rates as token buckets."""

import json
import random
import threading
from pathlib import Path


class Bucket:
    def __init__(self, burst, per_second, now_ms):
        self._burst = float(burst)
        self._per_ms = per_second / 1000
        self._tokens = self._burst
        self._now_ms = now_ms
        self._filled_at = now_ms()

    def take(self, cost=1):
        now = self._now_ms()
        gained = (now - self._filled_at) * self._per_ms
        self._tokens = min(self._burst, self._tokens + gained)
        self._filled_at = now
        if self._tokens < cost:
            return False
        self._tokens -= cost
        return True


def cost(call):
    """1, except for DynamoDB. DynamoDB counts items, and items of a transaction twice.

    An item of up to 1 KB is one unit to write, one of up to 4 KB one unit to read:
    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/on-demand-capacity-mode.html
    """
    if call.service != "dynamodb":
        return 1
    parameters = call.parameters
    if "TransactItems" in parameters:
        return 2 * len(parameters["TransactItems"])
    tables = parameters.get("RequestItems", {}).values()
    batched = sum(len(t if isinstance(t, list) else t["Keys"]) for t in tables)
    return max(1, batched)


def documented(key):
    """A bucket of `request-rates.json`."""
    path = Path(__file__).parent.parent / "request-rates.json"
    return {key: json.loads(path.read_text())["buckets"][key]}


class Limits:
    """Several actions can draw on one bucket, as they do in AWS.

    A bucket is keyed `service:Action,Action,...` or `service:*`; a call draws on every bucket
    that names it.
    """

    def __init__(self, now_ms):
        self._now_ms = now_ms
        self._lock = threading.Lock()
        self._always = {}
        self.set({})

    def always(self, buckets):
        """Buckets that are there whatever is set."""
        self._always = buckets
        self.set({})

    def set(self, limits):
        self._latency_ms = limits.get("latency_ms")
        self._buckets = []
        for key, size in {**self._always, **limits.get("buckets", {})}.items():
            service, _, actions = key.partition(":")
            bucket = Bucket(size["burst"], size["per_second"], self._now_ms)
            self._buckets.append((service, set(actions.split(",")), bucket))

    def latency_seconds(self):
        if not self._latency_ms:
            return 0.0
        return random.uniform(*self._latency_ms) / 1000

    def admit(self, call):
        with self._lock:
            drawn = [
                bucket.take(cost(call))
                for service, actions, bucket in self._buckets
                if service == call.service and (call.action in actions or "*" in actions)
            ]
        return all(drawn)
