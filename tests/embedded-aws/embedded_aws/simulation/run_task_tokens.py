"""The client tokens of RunTask: the same request gets the same answer again.

https://docs.aws.amazon.com/AmazonECS/latest/APIReference/ECS_Idempotency.html
"""

from dataclasses import dataclass

from .. import pace
from ..world import WORLD

# A token is kept for the shorter of these: so long, or the life of its tasks and an hour.
KEPT_SECONDS = 24 * 3600  # belief: run-task-token
KEPT_AFTER_ITS_TASKS_SECONDS = 3600  # belief: run-task-token


@dataclass(frozen=True)
class Kept:
    asked: str
    result: dict
    at_ms: float


def known(cluster, token):
    """The request that came with this token before; None if it is new, or forgotten by now."""
    kept = WORLD.run_task_tokens.get((cluster, token))
    if kept is not None and WORLD.agenda.now_ms() >= _forgotten_ms(kept):
        return None
    return kept


def keep(cluster, token, asked, result):
    """Nobody could say whether a request that ran nothing uses its token up."""
    if token is None:
        return
    if not result["tasks"] and pace.variant("token-after-failures") == "tried-anew":
        return
    WORLD.run_task_tokens[cluster, token] = Kept(asked, result, WORLD.agenda.now_ms())


def _forgotten_ms(kept):
    longest = kept.at_ms + KEPT_SECONDS * 1000
    ends = [task.life.ended_ms for task in kept.result["tasks"]]
    if not ends or None in ends:
        return longest
    return min(longest, max(ends) + KEPT_AFTER_ITS_TASKS_SECONDS * 1000)
