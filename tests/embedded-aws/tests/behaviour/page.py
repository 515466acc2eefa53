"""The register as it stands in docs/aws-behaviour.md."""

import re
from dataclasses import dataclass

from . import PAGE

STANDINGS = ("documented", "reported", "open")


@dataclass(frozen=True)
class Belief:
    id: str
    text: str
    source: str
    standing: str
    tests: tuple


def beliefs():
    """The rows of all tables whose first column is an id."""
    rows = []
    for line in PAGE.read_text().splitlines():
        if re.match(r"\| `[a-z0-9-]+` \|", line):
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            id, text, source, standing, tests = cells
            names = tuple(re.findall("`([^`]+)`", tests))
            rows.append(Belief(id.strip("`"), text, source, standing, names))
    return rows


def words():
    """What stands between backticks in the beliefs: among it the words of AWS that code matches."""
    return {word for belief in beliefs() for word in re.findall("`([^`]+)`", belief.text)}


def settled():
    """{id of an open belief: the commands that settle it}"""
    sections = re.split(r"^### `([a-z0-9-]+)`.*$", PAGE.read_text(), flags=re.MULTILINE)
    code = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
    return {id: "".join(code.findall(text)) for id, text in zip(sections[1::2], sections[2::2])}
