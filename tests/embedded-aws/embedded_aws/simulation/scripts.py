"""The agent of Systems Manager on each instance: it really runs what a document says.

A shell runs the commands of a step, in a temporary directory of the instance. The files in it are
remembered, and are in the next directory again. The commands run at once, whatever they wait for:
`sleep` and the other commands of `SHIMS` come before those of the system, and take the time of
the world instead. A script that takes longer than it may, by its document or until its instance
is gone, is killed at that moment, and does nothing after it.
"""

import dataclasses
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from .. import backends, pace
from ..clock import utc
from ..world import WORLD

# No script of a test takes so much real time.
REAL_SECONDS = 20  # not of AWS
# Files of more than this are not remembered.
MOST_BYTES = 64 * 1024  # not of AWS
# What a step may take where its document does not say.
EXECUTION_TIMEOUT = 3600  # belief: command-timeouts

# Before the commands of the system, by name. $EMBEDDED_AWS is the directory they belong to.
SHIMS = {
    # Sleeping takes the time of the world, up to the moment at which the script is killed.
    "sleep": """
slept=$(cat "$EMBEDDED_AWS/slept")
slept=$(awk "BEGIN { print $slept + $1 }")
echo "$slept" > "$EMBEDDED_AWS/slept"
awk "BEGIN { exit !($slept > $(cat "$EMBEDDED_AWS/limit")) }" || exit 0
touch "$EMBEDDED_AWS/killed"
kill -KILL 0
""",
    # A unit ends when the program beside it with its name has ended.
    "systemctl": """
[ "$1" = stop ] || exit 0
[ -f "$HOME/$2.stop" ] && sh "$HOME/$2.stop"
""",
    # `aws s3 sync FOLDER s3://BUCKET/…`: the bucket is a directory beside.
    "aws": """
[ "$1 $2" = "s3 sync" ] || [ "$1 $2" = "s3 cp" ] || exit 252
to="$HOME/s3/${4#s3://}"
[ -e "$HOME$3" ] || { echo "The user-provided path $3 does not exist." >&2; exit 255; }
mkdir -p "$to" && cp -R "$HOME$3/." "$to"
""",
}


@dataclasses.dataclass
class Command:
    id: str
    document: object
    name: str
    values: dict
    comment: str
    timeout: int
    sent_ms: float


@dataclasses.dataclass
class Step:
    name: str
    status: str = "Pending"
    details: str = "Pending"
    code: int = -1
    output: str = ""


@dataclasses.dataclass
class Invocation:
    command: Command
    instance: str
    status: str = "Pending"
    details: str = "Pending"
    steps: list = dataclasses.field(default_factory=list)
    ended_ms: float = None

    def requested(self):
        return f"{utc(self.command.sent_ms):%Y-%m-%dT%H:%M:%SZ}"

    def become(self, status, details=None):
        self.status, self.details = status, details or status


def agent_of(instance):
    """What is wrong with the agent of an instance: `missing`, `silent`, `undeliverable`; None if
    nothing is."""
    return WORLD.ssm_agents.get(instance)


def is_managed(instance):
    """Whether Systems Manager takes commands for it: it has an agent, and it runs."""
    found = backends.ec2().get_instance_by_id(instance)
    return found is not None and found.state == "running" and agent_of(instance) != "missing"


def files_of(instance):
    """What lies in the directory of an instance: {path: text}."""
    return WORLD.instance_files.setdefault(instance, {})


def last_of(instance):
    """The last command on an instance; None if none was sent."""
    found = [one for one in WORLD.invocations if one.instance == instance]
    return found[-1] if found else None


def deliver(command, instance):
    one = Invocation(command, instance)
    WORLD.invocations.append(one)
    trouble = agent_of(instance)
    if trouble == "undeliverable":
        WORLD.consequence(pace.seconds("command-to-agent", instance), lambda: _end(one, "Failed", "Undeliverable"))
    elif trouble == "silent":
        one.become("Delayed")
        WORLD.consequence(command.timeout, lambda: _end(one, "TimedOut", "DeliveryTimedOut"))
    else:
        WORLD.consequence(pace.seconds("command-to-agent", instance), lambda: _begin(one))


def cancel(command_id):
    for one in WORLD.invocations:
        if one.command.id == command_id and one.ended_ms is None:
            _end(one, "Cancelled")


def _begin(one):
    if one.ended_ms is not None or not is_managed(one.instance):
        return
    one.become("InProgress")
    took, killed, files = 0.0, False, files_of(one.instance)
    for about in one.command.document.content_json.get("mainSteps", []):
        step = Step(about["name"])
        one.steps.append(step)
        timeout = _seconds(_filled(about["inputs"].get("timeoutSeconds", EXECUTION_TIMEOUT), one.command))
        left = _until_gone(one.instance) - took
        lines = [_filled(line, one.command) for line in _listed(about["inputs"]["runCommand"])]
        seconds, code, output, files = _run(lines, files, min(timeout, left))
        took += seconds
        if code is None:
            killed = left < timeout
            step.output = output
            break
        step.code, step.output = code, output
        if code:
            break
    done = one.steps[-1] if one.steps else Step("none", code=0)
    if killed:
        # It ended with its instance, and nobody tells Systems Manager.
        files_of(one.instance).update(files)
        return
    WORLD.consequence(took, lambda: _finish(one, done, files))


def _finish(one, step, files):
    """The script ends, if its instance still runs. Otherwise it was cut off, and nobody knows
    where."""
    if one.ended_ms is not None or not is_managed(one.instance):
        return
    files_of(one.instance).update(files)
    if step.code == 0:
        _end(one, "Success")
    elif step.code < 0:
        _end(one, "TimedOut", "ExecutionTimedOut")
    else:
        _end(one, "Failed")


def _end(one, status, details=None):
    one.become(status, details)
    one.ended_ms = WORLD.agenda.now_ms()
    for step in one.steps:
        if step.status == "Pending":
            step.status, step.details = one.status, one.details


def _until_gone(instance):
    """Seconds until EC2 takes the instance, if it has decided that."""
    ends = WORLD.ends_ms.get(instance)
    return float("inf") if ends is None else max(0.0, (ends - WORLD.agenda.now_ms()) / 1000)


def _listed(value):
    return value if isinstance(value, list) else [value]


def _seconds(value):
    return float(value)


def _filled(text, command):
    """The text with the values of `{{ Name }}` in it."""
    return re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda found: str(command.values[found[1]]), str(text))


def _run(lines, files, limit):
    """(seconds of the world, exit code or None if it was killed, output, files afterwards)"""
    home = Path(tempfile.mkdtemp(prefix="spot-handoff-instance-"))
    shims = Path(tempfile.mkdtemp(prefix="spot-handoff-agent-"))
    try:
        for path, text in files.items():
            (home / path).parent.mkdir(parents=True, exist_ok=True)
            (home / path).write_text(text)
        (shims / "slept").write_text("0")
        (shims / "limit").write_text("1e9" if limit == float("inf") else str(limit))
        for name, text in SHIMS.items():
            (shims / name).write_text(f"#!/bin/sh\n{text}")
            (shims / name).chmod(0o755)
        environment = {"PATH": f"{shims}:/usr/bin:/bin", "HOME": str(home), "EMBEDDED_AWS": str(shims)}
        process = subprocess.Popen(
            ["/bin/sh", "-c", "\n".join(lines)],
            cwd=home,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            text=True,
        )
        try:
            out, err = process.communicate(timeout=REAL_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            out, err = process.communicate()
            (shims / "killed").touch()
        output = out + (f"\n----------ERROR-------\n{err}" if err else "")
        seconds = min(float((shims / "slept").read_text() or 0), limit)
        code = None if (shims / "killed").exists() else process.returncode
        return seconds, code, output, _remembered(home)
    finally:
        shutil.rmtree(home, ignore_errors=True)
        shutil.rmtree(shims, ignore_errors=True)


def _remembered(home):
    paths = [path for path in home.rglob("*") if path.is_file() and path.stat().st_size <= MOST_BYTES]
    return {str(path.relative_to(home)): path.read_text(errors="replace") for path in paths}
