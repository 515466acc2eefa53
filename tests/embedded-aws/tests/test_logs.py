import json
import time

from .aws import WorldTest

GROUP = "/aws/lambda/spot-handoff-drain-tasks"
LINES = [
    {"report": "spot-handoff", "instance": "i-1", "event_id": "a"},
    {"report": "spot-handoff", "instance": "i-2", "event_id": "b"},
    {"level": "ERROR", "message_id": "m"},
]


class FilterLogEvents(WorldTest):
    def setUp(self):
        super().setUp()
        self.logs = self.client("logs")
        self.logs.create_log_group(logGroupName=GROUP)
        self.now = int(time.time() * 1000)
        messages = [json.dumps(line) for line in LINES] + ["Task timed out after 15.00 seconds"]
        # Two streams, whose events alternate in time.
        for stream in ("one", "two"):
            self.logs.create_log_stream(logGroupName=GROUP, logStreamName=stream)
            own = list(enumerate(messages))[stream == "two" :: 2]
            events = [{"timestamp": self.now + 1000 * n, "message": m} for n, m in own]
            self.logs.put_log_events(logGroupName=GROUP, logStreamName=stream, logEvents=events)

    def found(self, pattern=None, **more):
        more |= {"filterPattern": pattern} if pattern else {}
        events = self.logs.filter_log_events(logGroupName=GROUP, **more)["events"]
        return [(event["timestamp"] - self.now) // 1000 for event in events]

    def test_patterns_find_what_they_name(self):
        for pattern, numbers in (
            (None, [0, 1, 2, 3]),
            ('{ $.report = "spot-handoff" }', [0, 1]),
            ('{ ($.report = "spot-handoff") && ($.instance = "i-2") }', [1]),
            ('{ ($.event_id = "a") || ($.message_id = "m") }', [0, 2]),
            ('{ $.instance = "i-3" }', []),
            ('"timed out"', [3]),
            ('?"timed out" ?"ERROR"', [2, 3]),
        ):
            with self.subTest(pattern):
                self.assertEqual(self.found(pattern), numbers)

    def test_a_pattern_that_is_not_known_is_refused(self):
        for pattern in ("{ $.level = ERROR* }", "{ $.a.b = 1 }", "[a, b]", "timed out", "%x%"):
            with self.subTest(pattern):
                self.assert_refused(
                    "InvalidParameterException", "filterPattern", self.found, pattern
                )

    def test_a_span_of_time_includes_both_ends(self):
        span = {"startTime": self.now + 1000, "endTime": self.now + 2000}
        self.assertEqual(self.found(**span), [1, 2])

    def test_pages_follow_each_other(self):
        pages = self.logs.get_paginator("filter_log_events").paginate(
            logGroupName=GROUP, PaginationConfig={"PageSize": 3}
        )
        self.assertEqual([len(page["events"]) for page in pages], [3, 1])
