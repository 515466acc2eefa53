"""What one world knows beyond moto's backends."""

import collections
import threading

from moto.moto_api._internal import mock_random

from .agenda import Agenda
from .calls import CallLog
from .clock import Clock, utc
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
            # An ECS that ignores the filter of ListContainerInstances. Code that trusts the
            # filter would drain a whole cluster.
            "ignore_container_instance_filter": False,
            # The most items a page of any paginated answer holds; None is AWS's own limit.
            "page_size": None,
            # Calls signed with a function's name may only do what the role of that function
            # allows.
            "enforce_iam": False,
            # EC2 announces every instance that it terminates. This is off unless a test is about
            # it: it would make the functions look again at every instance that is gone.
            "state_change_events": False,
            # For how many seconds after a change reads answer as if it had not happened. None: as
            # the world's pace says. See `staleness`.
            "stale_reads": None,
        }
        self.simulate = False
        # How long AWS takes for things, and which variants it plays. See `pace`.
        self.pace = "quick"
        self.seed = 0
        self.variants = {}
        self.numbers = {}
        # When this world was begun, by its clock.
        self.began_ms = 0
        # What answers behind (id, port), see `applications`.
        self.applications = {}
        # While the fleet is built, launched instances are in service at once.
        self.seeding = False
        self.stack = None
        # Set while a call is served that must find no room for what it launches or runs.
        self.no_capacity = False
        # Where the functions run, for Invoke. Whoever runs them says so.
        self.functions_url = None
        # Every event that came by PutEvents.
        self.put_events = []
        self.lifecycle_actions = {}
        # Scaling activities, in the order of their beginning.
        self.activities = []
        # Spot pools without capacity, and until when; see `market`.
        self.empty_pools = []
        # Groups that are being changed, and until when; see `contention`.
        self.under_way = {}
        # States that stale reads find, by service: (until, state). And the generator that draws
        # them.
        self.before = {}
        self.changes = 0
        self.stale_chances = 0
        # How many seconds after SIGTERM the tasks of a family end by themselves, if that is not
        # the usual time.
        self.endings = {}
        self.launch_tokens = {}
        self.run_task_tokens = {}
        # Settings of ECS agents since they were launched. See `agent`.
        self.agents = {}
        # Commands of Systems Manager, one for each instance that got them; what is wrong with
        # agents; the files in the directories of instances. See `scripts`.
        self.invocations = []
        self.ssm_agents = {}
        self.instance_files = {}
        # When EC2 takes an instance, if it has decided that.
        self.ends_ms = {}
        # The instances that EC2 has warned that it is going to take them.
        self.warned = set()
        # The meter of lost work, if a scenario is played. See `meter`.
        self.meter = None
        # How many messages pollers were handed, see `leap`.
        self.handed_out = 0
        # The fleet's network, for those that build on it later.
        self.network = None
        self._made = collections.Counter()

    def utcnow(self):
        """The time of the world. During something that AWS does by itself: the time at which it
        was due."""
        return utc(self.agenda.now_ms())

    def consequence(self, seconds, action):
        """The rest of what a call asked for. A still world does it at once."""
        if self.simulate:
            self.agenda.after(seconds, action)
        else:
            action()

    def autonomous(self, seconds, action):
        """Something that AWS does by itself. A still world never does it."""
        if self.simulate:
            self.agenda.after(seconds, action)

    def name_anew(self, kind):
        """Makes moto draw the next ids from this kind's own sequence.

        moto draws from one generator for everything, including request ids. Without this, the id
        of a replacement would depend on the number of calls before.
        """
        self._made[kind] += 1
        mock_random.seed(f"{kind} {self._made[kind]}")

    def made(self, kind):
        """How many of this kind were named so far."""
        return self._made[kind]

    def uuid(self, kind):
        self.name_anew(kind)
        return str(mock_random.uuid4())


WORLD = World()
