"""SNS: too much e-mail ends the subscription.

Above ten messages a second SNS suspends an e-mail subscription: it is pending, and gets nothing,
until somebody confirms it anew.
https://docs.aws.amazon.com/sns/latest/dg/sns-email-notifications.html
"""

from moto.core.responses import ActionResult
from moto.sns.models import Topic
from moto.sns.responses import SNSResponse

from .. import backends
from ..patching import replaces
from ..world import WORLD

MAILS_A_SECOND = 10  # belief: sns-suspends-email

_moto_publish = Topic.publish


@replaces(Topic)
def publish(self, *args, **kwargs):
    now = WORLD.clock.now_ms()
    for subscription in _mails(self):
        recent = [ms for ms in getattr(subscription, "mailed_ms", []) if now - ms < 1000]
        subscription.mailed_ms = [*recent, now]
        if len(subscription.mailed_ms) > MAILS_A_SECOND:
            subscription.suspended = True
    return _moto_publish(self, *args, **kwargs)


def _mails(topic):
    return [
        subscription
        for subscription in backends.sns().subscriptions.values()
        if subscription.topic is topic and subscription.protocol.startswith("email")
    ]


def is_suspended(subscription):
    return getattr(subscription, "suspended", False)


@replaces(SNSResponse)
def list_subscriptions_by_topic(self):
    found, token = self.backend.list_subscriptions_by_topic(
        self._get_param("TopicArn"), next_token=self._get_param("NextToken")
    )
    shown = [
        {
            "SubscriptionArn": "PendingConfirmation" if is_suspended(one) else one.arn,
            "Owner": one.owner,
            "Protocol": one.protocol,
            "Endpoint": one.endpoint,
            "TopicArn": one.topic.arn,
        }
        for one in found
    ]
    return ActionResult({"Subscriptions": shown, "NextToken": token})
