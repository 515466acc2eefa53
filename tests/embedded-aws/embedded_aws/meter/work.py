"""Tasks, jobs and instances: what is cut off, lost, missing or paid twice.

A *job* is a standalone task with its own family. On SIGTERM it saves its work, which takes
`checkpoint` seconds. If it ends before that, it loses everything since its start. A job that is
to run again is missing until it runs. A *worker* is an instance that takes jobs of the same
length, one after the other. When it goes, it loses the current job, except for what its stop
script has saved by then.
"""

from dataclasses import dataclass

# Two moments of the world that are meant to be the same.
SAME = 0.05


@dataclass
class Job:
    # Seconds of work at the start of the measuring.
    done: float
    # Seconds that it takes to save its work; None if it cannot.
    checkpoint: float | None
    # Whether somebody wants it to be run again.
    run_again: bool = False


@dataclass
class _Run:
    began: float
    terminated: float | None = None


class Work:
    def __init__(self, jobs, workers, wanted, elapsed, saved_at=lambda instance: None):
        """`wanted`: the instances that each group's owner pays for. `elapsed`: how far a worker's
        current job is at the start, between 0 and 1, by instance. `saved_at`: when a script had
        saved the work of an instance; None if none has."""
        self.jobs = {family: Job(**job) for family, job in jobs.items()}
        self.workers = workers
        self.wanted = wanted
        self.tasks_cut = 0
        self.job_seconds_lost = 0.0
        self.task_seconds_short = 0.0
        self.instance_seconds_twice = 0.0
        # (when, instance) of every instance that took tasks with it.
        self.cut_on = []
        self._at = None
        self._runs = {}
        self._elapsed = elapsed
        self._saved_at = saved_at
        self._working = {}

    def begin(self, at, picture):
        self._at = at
        for arn, task in picture.tasks.items():
            if task.of in self.jobs:
                self._runs[arn] = _Run(at - self.jobs[task.of].done)
        for id_, instance in picture.instances.items():
            if instance.in_service and instance.group in self.workers:
                job = self.workers[instance.group]
                self._working[id_] = at - self._elapsed(id_) * job

    def pass_until(self, at, picture):
        span, self._at = at - self._at, at
        for service, desired in picture.services.items():
            self.task_seconds_short += max(0, desired - _running(picture, service)) * span
        for family, job in self.jobs.items():
            if job.run_again:
                self.task_seconds_short += max(0, 1 - _running(picture, family)) * span
        for group, wanted in self.wanted.items():
            paid = sum(i.runs for i in picture.instances.values() if i.group == group)
            self.instance_seconds_twice += max(0, paid - wanted) * span

    def change(self, before, after):
        self._change_tasks(before, after)
        for id_, instance in after.instances.items():
            job = self.workers.get(instance.group)
            if job and instance.in_service and id_ not in self._working:
                self._working[id_] = self._at
        for id_, began in list(self._working.items()):
            if not after.runs(id_):
                del self._working[id_]
                job = self.workers[before.instances[id_].group]
                lost = (self._at - began) % job
                saved = self._saved_at(id_)
                self.job_seconds_lost += lost if saved is None else min(lost, self._at - saved)

    def _change_tasks(self, before, after):
        for arn, task in after.tasks.items():
            was = before.tasks.get(arn)
            if task.of in self.jobs and was is None and task.state != "stopped":
                self._runs[arn] = _Run(self._at)
            run = self._runs.get(arn)
            if run and task.state in ("stopping", "stopped") and run.terminated is None:
                run.terminated = self._at
        for arn, task in before.tasks.items():
            now = after.tasks.get(arn)
            if task.state == "stopped" or (now is not None and now.state != "stopped"):
                continue
            gone = before.runs(task.instance) and not after.runs(task.instance)
            if gone and task.state != "pending":
                self.tasks_cut += 1
                self.cut_on.append((self._at, task.instance))
            if arn in self._runs:
                self._end_job(self.jobs[task.of], self._runs.pop(arn), gone)

    def _end_job(self, job, run, gone):
        terminated = self._at if run.terminated is None else run.terminated
        had = self._at - terminated
        saved = job.checkpoint is not None and had >= job.checkpoint - SAME
        if not saved:
            self.job_seconds_lost += terminated - run.began


def _running(picture, of):
    return sum(task.of == of and task.state == "running" for task in picture.tasks.values())
