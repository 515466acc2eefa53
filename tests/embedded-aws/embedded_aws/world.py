"""What one world knows beyond moto's backends."""

import random
import threading

from .agenda import Agenda
from .calls import CallLog
from .clock import Clock
from .faults import Faults
from .limits import Limits


class World:
    def __init__(self):
        # One lock for all of moto, whose backends are plain dictionaries. Waiting readers of
        # a queue are woken through `changed`.
        self.changed = threading.Condition(threading.RLock())
        self.clock = Clock()
        self.agenda = Agenda(lambda: self.clock.now_ms())
        self.calls = CallLog()
        self.faults = Faults()
        self.limits = Limits(lambda: self.clock.now_ms())
        self.settings = {
            # ECS that ignores the filter of ListContainerInstances: code that trusts the
            # filter would drain a whole cluster.
            "ignore_container_instance_filter": False,
            # The most items a page of any paginated answer holds; None is AWS's own limit.
            "page_size": None,
            "enforce_iam": False,
        }
        self.simulate = False
        # While the fleet is built, launched instances are in service at once.
        self.seeding = False
        self.stack = None
        # Set while a call is served that is to find no room for what it launches or runs.
        self.no_capacity = False
        self.lifecycle_actions = {}
        self.launch_tokens = {}
        self.run_task_tokens = {}
        # Names made up by this package come from a generator of their own, seeded, so that
        # the same calls give the same names in every run.
        self.random = random.Random(20)

    def consequence(self, seconds, action):
        """The rest of what a call asked for. A still world has it done at once."""
        if self.simulate:
            self.agenda.after(seconds, action)
        else:
            action()

    def autonomous(self, seconds, action):
        """Something AWS does by itself. A still world never gets round to it."""
        if self.simulate:
            self.agenda.after(seconds, action)

    def uuid(self):
        digits = f"{self.random.getrandbits(128):032x}"
        return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


WORLD = World()
