"""Latency, and AWS's request rates as token buckets."""

import random
import threading


class Bucket:
    def __init__(self, burst, per_second, now_ms):
        self._burst = float(burst)
        self._per_ms = per_second / 1000
        self._tokens = self._burst
        self._now_ms = now_ms
        self._filled_at = now_ms()

    def take(self):
        now = self._now_ms()
        gained = (now - self._filled_at) * self._per_ms
        self._tokens = min(self._burst, self._tokens + gained)
        self._filled_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class Limits:
    """Several actions can draw on one bucket, as they do in AWS.

    A bucket is keyed `service:Action,Action,...` or `service:*`; a call draws on every bucket
    that names it.
    """

    def __init__(self, now_ms):
        self._now_ms = now_ms
        self._lock = threading.Lock()
        self.set({})

    def set(self, limits):
        self._latency_ms = limits.get("latency_ms")
        self._buckets = []
        for key, size in limits.get("buckets", {}).items():
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
                bucket.take()
                for service, actions, bucket in self._buckets
                if service == call.service and (call.action in actions or "*" in actions)
            ]
        return all(drawn)
