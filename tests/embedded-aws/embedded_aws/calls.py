"""The log of calls: who asked for what, when, and how it went."""

import itertools
import threading


class CallLog:
    def __init__(self):
        self._lock = threading.Lock()
        self.clear()

    def clear(self):
        with self._lock:
            self._numbers = itertools.count(1)
            self._entries = []

    def add(self, at_ms, call, status, error, ms):
        with self._lock:
            self._entries.append(
                {
                    "n": next(self._numbers),
                    "at_ms": round(at_ms),
                    "caller": call.caller,
                    "service": call.service,
                    "action": call.action,
                    # 0 for a call whose connection was cut.
                    "status": status,
                    "error": error,
                    "ms": round(ms, 2),
                }
            )

    def entries(self):
        with self._lock:
            return list(self._entries)
