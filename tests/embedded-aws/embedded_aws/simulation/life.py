"""What happened to a task of ECS, and when. From this the meter computes what became of its
work."""

from dataclasses import dataclass


@dataclass
class Life:
    """When each thing happened to a task, in milliseconds; None if it has not happened."""

    placed_ms: float
    running_ms: float | None = None
    # ECS took its targets out, or somebody else had.
    targets_out_ms: float | None = None
    # Its first container got SIGTERM.
    terminated_ms: float | None = None
    ended_ms: float | None = None
    # Somebody told it to stop, or its instance went.
    stopping_ms: float | None = None
    # A container was killed at the end of its grace.
    killed: bool = False
    # Its instance went while the task ran, or while it used its grace.
    cut: bool = False

    @property
    def end(self):
        """How it ended: `done`, `stopped` in order, `killed` after its grace, `cut` off, `unstarted`."""
        if self.ended_ms is None:
            return None
        if self.running_ms is None:
            return "unstarted"
        if self.cut:
            return "cut"
        if self.killed:
            return "killed"
        return "done" if self.terminated_ms is None else "stopped"
