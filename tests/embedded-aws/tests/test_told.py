import json

from .aws import WorldTest


class Told(WorldTest):
    def test_messages_to_topics_are_remembered(self):
        sns = self.client("sns")
        topic = sns.create_topic(Name="told")["TopicArn"]
        entry = {
            "Id": "0",
            "Subject": "FAILED: i-1",
            "Message": "why",
            "MessageAttributes": {"outcome": {"DataType": "String", "StringValue": "failed"}},
        }
        sns.publish_batch(TopicArn=topic, PublishBatchRequestEntries=[entry])
        expected = {
            "topic": topic,
            "subject": "FAILED: i-1",
            "message": "why",
            "attributes": {"outcome": "failed"},
        }
        self.assertIn(expected, self.get("notifications"))

    def test_events_of_put_events_are_remembered_as_they_went_on_the_bus(self):
        entry = {"Source": "mine", "DetailType": "Told", "Detail": json.dumps({"a": 1})}
        self.client("events").put_events(Entries=[entry])
        event = self.get("events")[-1]
        self.assertEqual((event["source"], event["detail"]), ("mine", {"a": 1}))
