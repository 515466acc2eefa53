"""The tests that there are, by the names that the register gives them: `package::name`, with as much of the path between
as its reader needs (`end-to-end::faults::name`)."""

import re
from functools import cache

from . import ROOT

# The attribute, other attributes and comments, then the function.
RUST = re.compile(r"#\[(?:tokio::)?test\b[^\n]*\]\s*\n(?:\s*(?:#\[|//)[^\n]*\n)*\s*(?:pub\s+)?(?:async\s+)?fn\s+(\w+)")
PYTHON = re.compile(r"^ +def (test_\w+)", re.MULTILINE)
PACKAGES = ["shared", "functions/*", "handoff", "tests/*"]
# Folders whose package has another name.
NAMES = {"shared": "spot-handoff"}


def exists(name):
    package, *path, last = name.split("::")
    return any(set(path) <= parts for parts in named().get((package, last), []))


@cache
def named():
    """{(package, name): [the parts of the paths that a test of this name has]}"""
    found = {}
    for pattern in PACKAGES:
        for package in ROOT.glob(pattern):
            for path in [*package.rglob("*.rs"), *package.rglob("*.py")]:
                parts = set(path.relative_to(package).with_suffix("").parts)
                if not {"target", "node_modules"} & parts:
                    shape = RUST if path.suffix == ".rs" else PYTHON
                    for name in shape.findall(path.read_text()):
                        found.setdefault((NAMES.get(package.name, package.name), name), []).append(parts)
    return found
