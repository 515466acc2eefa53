"""The faults that a test orders: what goes wrong with which call, and how often."""

import threading

KINDS = {
    "throttle",  # the service's own throttling error
    "denied",  # the service's own answer to a caller who lacks the permission
    "error",  # an error with `code` and `status`, well formed for the service's protocol
    "http",  # `status` with a body no SDK can parse, as from a proxy in between
    "reset",  # the connection is reset, the call is not carried out
    "hang",  # nothing is answered for `ms`, then the connection closes; not carried out, unless
    # `carried_out` says so
    "slow",  # answered after `ms` more
    "truncate",  # carried out, half of the answer arrives
    "lost-answer",  # carried out, the connection is reset before the answer
    "no-capacity",  # LaunchInstances and RunTask find no room
}


class Fault:
    def __init__(self, order):
        self.action = order.get("action")
        self.service = {"elbv2": "elasticloadbalancing"}.get(
            order.get("service"), order.get("service")
        )
        self.caller = order.get("caller")
        # Words of the request's body, for a fault of the calls about one instance or group.
        self.match = order.get("match")
        self.times = order.get("times")
        self.skip = order.get("skip") or 0
        self.what = order["fault"]
        if self.what.get("kind") not in KINDS:
            raise ValueError(f"fault.kind is one of {sorted(KINDS)}, not {self.what.get('kind')!r}")

    def matches(self, call):
        """A field that was left out matches every call."""
        return (
            self.action in (None, call.action)
            and self.service in (None, call.service)
            and self.caller in (None, call.caller)
            and (self.match is None or self.match.encode() in call.body)
        )


class Faults:
    def __init__(self):
        self._lock = threading.Lock()
        self._faults = []
        self._struck = 0

    def struck(self):
        """How many calls have suffered a fault."""
        with self._lock:
            return self._struck

    def order(self, orders):
        with self._lock:
            self._faults += [Fault(order) for order in orders]

    def clear(self):
        with self._lock:
            self._faults = []

    def strike(self, call):
        """The fault this call suffers, if any. The first that matches is the one."""
        with self._lock:
            for fault in self._faults:
                if not fault.matches(call) or fault.times == 0:
                    continue
                if fault.skip > 0:
                    fault.skip -= 1
                    continue
                if fault.times is not None:
                    fault.times -= 1
                self._struck += 1
                return fault.what
        return None
