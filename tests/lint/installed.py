#!/usr/bin/env python3
"""Checks that `cargo install --path handoff` builds what the person on call needs, without the test bed."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# The test bed, and the crates that only the test bed needs.
TEST_BED = {"testbed", "axum", "reqwest"}


def crates(*features: str) -> set[str]:
    """The names of all crates in the command line."""
    tree = ["cargo", "tree", "--locked", "--package", "handoff", "--edges", "normal,build", "--prefix", "none", *features]
    lines = subprocess.run(tree, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    return {line.split()[0] for line in lines if line}


def main() -> int:
    installed, local = crates(), crates("--features", "local")
    too_many, blind = installed & TEST_BED, TEST_BED - local
    for crate in sorted(too_many):
        print(f"installed: {crate} is for the test bed, and `cargo install --path handoff` builds it", file=sys.stderr)
    for crate in sorted(blind):
        print(f"installed: {crate} is not part of the test bed any more: look for another one", file=sys.stderr)
    if not too_many and not blind:
        print(f"installed: `handoff` is built of {len(installed)} crates, with the feature `local` of {len(local)}")
    return int(bool(too_many or blind))


if __name__ == "__main__":
    sys.exit(main())
