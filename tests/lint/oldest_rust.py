#!/usr/bin/env python3
"""Checks that no dependency needs a newer Rust than Cargo.toml promises. clippy checks that for our own code."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def version(package: dict) -> tuple[int, ...]:
    """The oldest Rust that a package says it needs. If it says nothing, any Rust will do."""
    return tuple(map(int, (package["rust_version"] or "0").split(".")))


def main() -> int:
    metadata = ["cargo", "metadata", "--locked", "--format-version", "1"]
    packages = json.loads(subprocess.run(metadata, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)["packages"]
    promised = min(version(package) for package in packages if not package["source"])
    newer = [package for package in packages if version(package) > promised]
    for package in newer:
        needs = f"{package['name']} {package['version']} needs Rust {package['rust_version']}"
        print(f"oldest_rust: {needs}: raise rust-version in Cargo.toml, or keep an older version", file=sys.stderr)
    if not newer:
        text = ".".join(map(str, promised))
        print(f"oldest_rust: none of {len(packages)} packages says that it needs a newer Rust than {text}")
    return int(bool(newer))


if __name__ == "__main__":
    sys.exit(main())
