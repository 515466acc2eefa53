"""The HTTP server of one world: connections, faults, latency. HTTP/1.1 with keep-alive."""

import json
import os
import socket
import struct
import sys
import threading
import time
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from . import dispatch, errors, iam, routes
from .call import Call
from .services import contention
from .world import WORLD

TICK_SECONDS = 0.1


class Dropped(Exception):
    """The connection is to end here, without a further byte."""


class WorldServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, listener):
        super().__init__(listener.getsockname(), Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"

    def handle_error(self, request, client_address):
        """It prints nothing about a client that went away. It prints anything else as usual."""
        if not isinstance(sys.exc_info()[1], (ConnectionError, Dropped)):
            super().handle_error(request, client_address)


def serve(listener):
    threading.Thread(target=_tick, daemon=True).start()
    WorldServer(listener).serve_forever(poll_interval=3600)


def _tick():
    """Lets time pass in a world that gets no calls.

    Every call wakes it, since what is due next may have changed, or time has leapt.
    """
    with WORLD.changed:
        while True:
            WORLD.changed.wait(_seconds_until_due())
            if WORLD.agenda.catch_up():
                WORLD.changed.notify_all()


def _seconds_until_due():
    next_ms = WORLD.agenda.next_ms()
    if next_ms is None:
        return TICK_SECONDS
    seconds = WORLD.clock.real_seconds((next_ms - WORLD.clock.now_ms()) / 1000)
    return min(max(seconds, 0.001), TICK_SECONDS)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # An answer is written at once, and leaves at once.
    wbufsize = -1
    disable_nagle_algorithm = True

    def log_message(self, *args):
        pass

    def handle_one_request(self):
        try:
            super().handle_one_request()
        except Dropped:
            self.close_connection = True

    def do_GET(self):
        self._serve()

    do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = do_GET

    def _serve(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path.startswith("/_embedded/"):
            self._send(*self._control(body))
        else:
            self._aws(body)

    def _control(self, body):
        headers = {"Content-Type": "application/json"}
        try:
            order = json.loads(body) if body else {}
            found = routes.answer(self.command, self.path, order, self.server.url)
            return 200, headers, json.dumps(found).encode()
        except (ValueError, KeyError) as error:
            return 400, headers, json.dumps({"error": str(error)}).encode()
        except Exception as error:
            traceback.print_exc()
            return 500, headers, json.dumps({"error": repr(error)}).encode()

    def _aws(self, body):
        call = Call.read(self.command, self.path, self.headers, body)
        began, at_ms = time.monotonic(), WORLD.clock.now_ms()
        status, error = 0, None
        try:
            status, headers, answer = self._answer(call)
            error = error_code(headers, answer) if status >= 400 else None
        except Dropped as dropped:
            error = str(dropped)
            raise
        finally:
            WORLD.calls.add(at_ms, call, status, error, (time.monotonic() - began) * 1000)
        self._send(status, headers, answer)

    def _answer(self, call):
        time.sleep(WORLD.clock.real_seconds(WORLD.limits.latency_seconds()))
        fault = WORLD.faults.strike(call) or {}
        kind = fault.get("kind")
        milliseconds = fault.get("ms", 30000 if kind == "hang" else 1000)
        if kind == "hang" and fault.get("carried_out"):
            self._carry_out(call, no_capacity=False)
        if kind in ("hang", "slow"):
            time.sleep(WORLD.clock.real_seconds(milliseconds / 1000))
        if kind in ("hang", "reset"):
            self._drop(kind, reset=kind == "reset")
        if kind == "http":
            body = b"<html><body>something in between failed</body></html>"
            return fault.get("status", 503), {"Content-Type": "text/html"}, body
        if kind == "throttle" or not WORLD.limits.admit(call):
            code = errors.THROTTLING.get(call.service, "ThrottlingException")
            return errors.answer(call.service, code, "Rate exceeded")
        if kind == "error":
            code = fault.get("code", "InternalFailure")
            message = fault.get("message", f"{code}, as ordered by the test")
            return errors.answer(call.service, code, message, fault.get("status", 400))
        if kind == "denied":
            return errors.denied(call.service, "denied, as ordered by the test")
        denied = iam.denial(call) if WORLD.settings["enforce_iam"] else None
        if denied:
            return denied
        busy = contention.refusal(call)
        if busy:
            return busy
        found = self._carry_out(call, no_capacity=kind == "no-capacity")
        if kind == "lost-answer":
            self._drop(kind, reset=True)
        if kind == "truncate":
            self._truncate(*found)
        return found

    def _carry_out(self, call, no_capacity):
        try:
            if not no_capacity:
                return dispatch.answer(call, self.server.url)
            with WORLD.changed:
                WORLD.no_capacity = True
                try:
                    return dispatch.answer(call, self.server.url)
                finally:
                    WORLD.no_capacity = False
        except Exception as error:
            # An action that moto does not have, or a bug in this package. The log shows it, and
            # the caller sees a service that failed.
            traceback.print_exc()
            return errors.answer(call.service, "InternalFailure", repr(error), 500)

    def _send(self, status, headers, body):
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in ("content-length", "connection"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _truncate(self, status, headers, body):
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() != "content-length":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2])
        self.wfile.flush()
        self._drop("truncate", reset=False)

    def _drop(self, kind, reset):
        if reset:
            # Closing a socket that lingers for no time resets the connection.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.wfile.close()
            os.close(self.connection.detach())
        raise Dropped(kind)


def error_code(headers, body):
    code = {k.lower(): v for k, v in headers.items()}.get("x-amzn-errortype")
    if code:
        return code.split("#")[-1]
    text = body.decode(errors="replace")
    if "<Code>" in text:
        return text.split("<Code>")[1].split("<")[0]
    try:
        return json.loads(text).get("__type", "unknown").split("#")[-1]
    except ValueError:
        return "unknown"
