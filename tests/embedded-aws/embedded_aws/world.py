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
            # ECS that ignores the filter of ListContainerInstances: code that trusts the
            # filter would drain a whole cluster.
            "ignore_container_instance_filter": False,
            # The most items a page of any paginated answer holds; None is AWS's own limit.
            "page_size": None,
            # Calls signed with a function's name are held to the role of that function.
            "enforce_iam": False,
            # EC2 announces every instance it terminates. Off unless a test is about that: it
            # would have the functions look again at every instance that is gone.
            "state_change_events": False,
            # For how many seconds after a change reads answer as if it had not been; None is as
            # the world's pace has it. See `staleness`.
            "stale_reads": None,
        }
        self.simulate = False
        # How long AWS takes for things, and which of the variants it plays, see `pace`.
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
        # Set while a call is served that is to find no room for what it launches or runs.
        self.no_capacity = False
        # Where the functions run, for Invoke: told by whoever runs them.
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
        # States that stale reads find, by service: (until, state); and what they are drawn by.
        self.before = {}
        self.changes = 0
        self.stale_chances = 0
        # How many seconds after SIGTERM the tasks of a family end by themselves, where that is
        # not the usual time.
        self.endings = {}
        self.launch_tokens = {}
        self.run_task_tokens = {}
        # What agents of ECS were configured with since they were launched, see `agent`.
        self.agents = {}
        # Commands of Systems Manager, one for each instance that they were sent to; what is wrong with agents; what lies
        # in the directories of instances. See `scripts`.
        self.invocations = []
        self.ssm_agents = {}
        self.instance_files = {}
        # When EC2 takes an instance, where it has decided that.
        self.ends_ms = {}
        # The instances that EC2 has told that it is going to take them.
        self.warned = set()
        # What reckons lost work, where a scenario is played; see `meter`.
        self.meter = None
        # How many messages pollers were handed, see `leap`.
        self.handed_out = 0
        # The fleet's network, for those that build on it later.
        self.network = None
        self._made = collections.Counter()

    def utcnow(self):
        """The time of the world; within what AWS does by itself, the time it was due at."""
        return utc(self.agenda.now_ms())

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

    def name_anew(self, kind):
        """Has moto draw the ids of what is made next from this kind's own sequence.

        moto draws from one generator for everything, request ids included: without this, the
        id of a replacement would depend on how many calls were made before.
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
