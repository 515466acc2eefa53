"""The parent process: a warm fleet that is forked into worlds on request.

Everything here is single-threaded. A fork copies only the thread that forks. So if another thread
held a lock at that moment, the lock would stay locked in the child for ever.
"""

import contextlib
import gc
import json
import os
import selectors
import signal
import socket
import sys
import threading

from . import clock, fleet, limits, pace, server
from .clock import Clock
from .simulation import scheduler
from .world import WORLD


def listen():
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    return listener, f"http://127.0.0.1:{listener.getsockname()[1]}"


class Control:
    def __init__(self):
        self.listener, self.url = listen()
        # The children hold the reading end: it ends when this process does, however it ends.
        self.lifeline, self._life = os.pipe()
        self._children = set()
        # What the parent has built is never collected. Otherwise a child that collects garbage
        # would write to all memory that it shares with the parent, and so copy it.
        gc.collect()
        gc.freeze()

    def run(self):
        """Serves until standard input closes."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.listener, selectors.EVENT_READ)
            selector.register(sys.stdin, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select(timeout=1):
                    if key.fileobj is sys.stdin:
                        if not os.read(sys.stdin.fileno(), 4096):
                            return
                    else:
                        self._accept()
                self._reap()

    def _reap(self):
        for pid in list(self._children):
            if os.waitpid(pid, os.WNOHANG)[0] == pid:
                self._children.discard(pid)

    def _accept(self):
        connection, _ = self.listener.accept()
        with connection:
            connection.settimeout(10)
            try:
                method, path, body = _read_request(connection)
            except (OSError, ValueError) as error:
                _respond(connection, 400, {"error": str(error)})
                return
            if (method, path) == ("POST", "/worlds"):
                self._fork(connection, body)
            elif method == "DELETE" and path.startswith("/worlds/"):
                self._end(connection, path.rsplit("/", 1)[1])
            else:
                error = f"there is no {method} {path}; there are POST /worlds, DELETE /worlds/PID"
                _respond(connection, 404, {"error": error})

    def _end(self, connection, pid):
        if not pid.isdigit() or int(pid) not in self._children:
            _respond(connection, 404, {"error": f"no world has the process id {pid}"})
            return
        os.kill(int(pid), signal.SIGTERM)
        os.waitpid(int(pid), 0)
        self._children.discard(int(pid))
        _respond(connection, 200, {})

    def _fork(self, connection, body):
        pid = os.fork()
        if pid:
            self._children.add(pid)
            return
        # The child answers the request itself, when its world is ready. It must never return
        # into the parent's loop, whatever happens.
        try:
            self._become_world(connection, body)
        except BaseException as error:
            _respond(connection, 400, {"error": str(error)})
            os._exit(1)
        os._exit(0)

    def _become_world(self, connection, body):
        self.listener.close()
        os.close(self._life)
        # The parent alone watches for the end of standard input.
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        order = json.loads(body or b"{}")
        begin_world(order)
        listener, url = listen()
        threading.Thread(target=self._die_with_parent, daemon=True).start()
        _respond(connection, 200, {"url": url, "pid": os.getpid()})
        connection.close()
        server.serve(listener)

    def _die_with_parent(self):
        os.read(self.lifeline, 1)
        os._exit(0)


def begin_world(order):
    """Turns the warm state of the parent into the ordered world."""
    known = {"parameters", "clock", "simulate", "storm", "enforce_iam"}
    known |= {"pace", "seed", "variants", "numbers"}
    if set(order) - known:
        raise ValueError(f"a world is ordered by {sorted(known)}, not {sorted(set(order) - known)}")
    WORLD.clock = Clock.parse(order.get("clock"))
    clock.rule_moto(WORLD.utcnow)
    WORLD.simulate = order.get("simulate", True)
    pace.order(order)
    # EC2 announces every change of state. At the quick pace, only if a test is about that.
    WORLD.settings["state_change_events"] = pace.is_real()
    WORLD.began_ms = WORLD.clock.now_ms()
    if pace.is_real():
        WORLD.limits.always(limits.documented("logs:FilterLogEvents"))
        if WORLD.simulate:
            scheduler.watch()
    WORLD.settings["enforce_iam"] = order.get("enforce_iam", False)
    if order.get("parameters"):
        WORLD.stack = WORLD.stack.redeployed(order["parameters"])
    if order.get("storm"):
        fleet.enlarge(order["storm"])


def _read_request(connection):
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            raise ValueError("the request ended early")
        data += more
    head, body = data.split(b"\r\n\r\n", 1)
    method, path, _ = head.split(b"\r\n")[0].decode().split(" ")
    length = 0
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.decode().partition(":")
        if name.lower() == "content-length":
            length = int(value)
    while len(body) < length:
        more = connection.recv(65536)
        if not more:
            raise ValueError("the request ended early")
        body += more
    return method, path, body


def _respond(connection, status, answer):
    body = json.dumps(answer).encode()
    head = (
        f"HTTP/1.1 {status} {'OK' if status == 200 else 'Error'}\r\n"
        "Content-Type: application/json\r\nConnection: close\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    with contextlib.suppress(OSError):  # whoever asked may have gone
        connection.sendall(head.encode() + body)
