#!/usr/bin/env python3
"""Checks that every link in the repository's pages leads to a file and a heading that exist."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """The link targets of a page: its headings, as GitHub names them, and its own anchors."""
    text = CODE.sub("", page.read_text())
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    names = (re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings)
    return {*names, *re.findall(r'<a id="([^"]+)"', text)}


def broken(page: Path) -> list[str]:
    """The links of a page that lead nowhere."""
    targets = LINK.findall(CODE.sub("", page.read_text()))
    return [target for target in targets if not target.startswith("https://") and not leads(page, target)]


def leads(page: Path, target: str) -> bool:
    name, _, anchor = target.partition("#")
    file = page.parent / name if name else page
    return file.exists() and (not anchor or anchor in anchors(file))


def main() -> int:
    listed = subprocess.run(["git", "ls-files", "-z", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True)
    pages = [ROOT / name for name in listed.stdout.split("\0") if name]
    wrong = [f"{page.relative_to(ROOT)}: {target} leads nowhere" for page in pages for target in broken(page)]
    print(*wrong, sep="\n", end="\n" if wrong else "", file=sys.stderr)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
