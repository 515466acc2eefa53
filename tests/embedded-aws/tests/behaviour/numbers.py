"""The numbers and variants of the embedded AWS, each with the belief that it names."""

import json
import re

from . import EMBEDDED_AWS

DATA = ["pace.json", "request-rates.json"]
# A constant of a module: a number, or a sum or product of numbers.
CONSTANT = re.compile(
    r"^(_?[A-Z][A-Z0-9_]*) = [\d_.]+(?: *[*+/-]+ *[\d_.]+)*(?:  # (?:belief: )?([a-zA-Z0-9 -]+))?$", re.MULTILINE
)
OURS = "not of AWS"
# Code that plays AWS. The rest of the embedded AWS is a server, and its numbers are its own.
PLAYS_AWS = ["services", "simulation"]


def all_of_them():
    """(where, id of a belief or None) of each number."""
    for name in DATA:
        path = EMBEDDED_AWS / name
        if path.exists():
            yield from of_data(name, json.loads(path.read_text()), None)
    for directory in PLAYS_AWS:
        for path in sorted((EMBEDDED_AWS / "embedded_aws" / directory).rglob("*.py")):
            for name, belief in CONSTANT.findall(path.read_text()):
                if belief != OURS:
                    yield f"{path.relative_to(EMBEDDED_AWS)}: {name}", belief or None


def of_data(where, value, belief):
    """A number has the belief of the nearest object around it that names one."""
    if isinstance(value, dict):
        belief = value.get("belief", belief)
        if "values" in value:
            yield where, belief
        for key, inner in value.items():
            yield from of_data(f"{where}: {key}", inner, belief)
    elif isinstance(value, list):
        for inner in value:
            yield from of_data(where, inner, belief)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield where, belief
