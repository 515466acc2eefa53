#!/usr/bin/env python3
"""Looks up the crates of Cargo.lock in RustSec's advisories, and at crates.io for withdrawn versions.

    tests/lint/advisories.py CARGO_DENY

RustSec's database is a Git repository. A machine without a network needs a copy of it. The script looks where
ADVISORY_DB says (a clone of RustSec/advisory-db), otherwise where `cargo deny fetch db` puts it. If there is no copy,
it says so, and only looks for withdrawn versions. Each run first checks that it notices an advisory about one of the
crates.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CARGO_HOME = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo"))
# The folder in which cargo-deny keeps RustSec's database: its name and a hash of its address.
FOLDER = "advisory-db-3157b0e258782691"
# A crate that every program of ours contains. The advisory is made up.
EXAMPLE = ("tokio", "RUSTSEC-2016-0999")


def advisory(crate: str, number: str, patched: str) -> str:
    """An advisory in RustSec's format."""
    return f"""```toml
[advisory]
id = "{number}"
package = "{crate}"
date = "2016-01-01"

[versions]
patched = {patched}
```

# An example for tests/lint/advisories.py
"""


def check(cargo_deny: str, database: Path, *, quiet: bool = False) -> tuple[bool, str]:
    """Whether cargo-deny finds nothing in this database, and what it says. With an empty database it only looks for
    withdrawn versions."""
    with tempfile.TemporaryDirectory() as directory:
        # cargo-deny only reads from its configuration where its databases are.
        (Path(directory) / FOLDER).symlink_to(database.resolve())
        config = Path(directory) / "deny.toml"
        there = f'[advisories]\ndb-path = "{directory}"\n'
        config.write_text((ROOT / "deny.toml").read_text().replace("[advisories]\n", there))
        command = [cargo_deny, "--locked", "--offline", "--config", config, "check", "advisories"]
        answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if not quiet:
        sys.stderr.write(answer.stderr)
    return answer.returncode == 0, answer.stderr


def made_up(directory: Path, patched: str) -> Path:
    """A database of one advisory."""
    crate, number = EXAMPLE
    folder = directory / "crates" / crate
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{number}.md").write_text(advisory(crate, number, patched))
    # cargo-deny asks how old a database is, so there has to be a commit.
    git = ["git", "-C", directory, "-c", "user.name=lint", "-c", "user.email=lint@localhost"]
    subprocess.run([*git, "init", "--quiet"], check=True)
    subprocess.run([*git, "commit", "--quiet", "--allow-empty", "--message", "An example"], check=True)
    return directory


def local() -> Path | None:
    """RustSec's database, where this machine has it."""
    named = os.environ.get("ADVISORY_DB")
    place = Path(named) if named else CARGO_HOME / "advisory-dbs" / FOLDER
    if named and not (place / "crates").is_dir():
        sys.exit(f"advisories: ADVISORY_DB={named} is no clone of RustSec/advisory-db: it has no folder `crates`")
    return place if place.is_dir() else None


def main() -> int:
    cargo_deny = sys.argv[1]
    # cargo-deny must not fetch RustSec's repository. So everything that it would fetch itself is fetched before: the
    # crates of every platform, and the index of crates.io, which knows the withdrawn versions.
    subprocess.run(["cargo", "fetch", "--quiet", "--locked"], cwd=ROOT, check=True)
    subprocess.run(["cargo", "update", "--quiet", "--dry-run"], cwd=ROOT, check=True)
    with tempfile.TemporaryDirectory() as directory:
        noticed, said = check(cargo_deny, made_up(Path(directory), "[]"), quiet=True)
        if noticed or EXAMPLE[1] not in said:
            print(f"advisories: one about {EXAMPLE[0]} was not noticed:\n{said}", file=sys.stderr)
            return 1
        database = local()
        if database is None:
            fine, _ = check(cargo_deny, made_up(Path(directory), '[">= 0"]'))
            print("advisories: no version is withdrawn" if fine else "advisories: see above")
            print("advisories: NOT looked up: this machine has no copy of RustSec's database; `cargo deny fetch db`")
            print("            gets one, or ADVISORY_DB=PATH names a clone of RustSec/advisory-db")
            return int(not fine)
    fine, _ = check(cargo_deny, database)
    newest = ["git", "-C", database, "log", "-1", "--format=%cs"]
    of = subprocess.run(newest, capture_output=True, text=True).stdout.strip() or "an unknown day"
    print(f"advisories: looked up in RustSec's database as of {of}")
    return int(not fine)


if __name__ == "__main__":
    sys.exit(main())
