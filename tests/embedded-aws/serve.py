#!/usr/bin/env python3
"""Starts the embedded AWS: `serve.py --template template.yaml`. See README.md."""

import argparse
import json
import signal
import sys
import time


def main():
    parser = argparse.ArgumentParser(description="AWS on this machine, for tests and replays.")
    parser.add_argument("--template", required=True, help="the SAM template to deploy")
    template = parser.parse_args().template
    began = time.monotonic()

    def progress(what):
        seconds = time.monotonic() - began
        print(f"embedded AWS: {what} ({seconds:.1f} s)", file=sys.stderr, flush=True)

    progress("loading moto")
    from embedded_aws import control, fleet, services, stack, warm

    services.install()
    progress("building the sample fleet")
    fleet.seed()
    progress(f"deploying {template}")
    stack.deploy(stack.translate(template))
    warm.up()
    # Ctrl-C ends this process and its worlds without a traceback from each.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    parent = control.Control()
    progress("ready")
    print(json.dumps({"control": parent.url}), flush=True)
    parent.run()


if __name__ == "__main__":
    main()
