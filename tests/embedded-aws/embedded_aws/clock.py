"""World time: real time, or real time run faster from an origin.

A replay of two minutes can be watched in six seconds when the functions, the test bed and this
AWS all count time by the same rule, which is written `<origin in ms>x<speed>`.
"""

import datetime
import re
import sys
import time


class Clock:
    def __init__(self, origin_ms=0, speed=1.0):
        self.origin_ms = origin_ms
        self.speed = speed
        self._ahead_ms = 0

    @classmethod
    def parse(cls, text):
        if not text:
            return cls()
        found = re.fullmatch(r"(\d+)x(\d+(?:\.\d+)?)", text)
        if not found or float(found.group(2)) <= 0:
            raise ValueError(f"a clock reads <origin ms>x<speed>, not {text!r}")
        return cls(int(found.group(1)), float(found.group(2)))

    def now_ms(self):
        since_origin = (time.time() * 1000 - self.origin_ms) * self.speed
        return self.origin_ms + since_origin + self._ahead_ms

    def advance(self, seconds):
        self._ahead_ms += seconds * 1000

    def settle(self):
        """Adds its advance to its origin, so that its setting says everything."""
        if self._ahead_ms and self.speed != 1:
            self.origin_ms = round(self.origin_ms - self._ahead_ms / (self.speed - 1))
            self._ahead_ms = 0

    def setting(self):
        """What `parse` reads."""
        if self._ahead_ms or self.speed == 1:
            raise ValueError("only the setting of a fast clock can tell how far it has leapt")
        return f"{self.origin_ms}x{self.speed:g}"

    def utcnow(self):
        """Naive UTC, which is how moto keeps time."""
        return utc(self.now_ms())

    def real_seconds(self, world_seconds):
        return world_seconds / self.speed


def utc(ms):
    """Naive UTC of milliseconds since 1970."""
    return datetime.datetime(1970, 1, 1) + datetime.timedelta(milliseconds=ms)


def rule_moto(utcnow):
    """Makes moto tell the time by `utcnow`.

    Its modules import the function by name, so each has its own reference.
    """
    for name, module in list(sys.modules.items()):
        if name.startswith("moto.") and hasattr(module, "utcnow"):
            module.utcnow = utcnow
