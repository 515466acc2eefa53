"""How long AWS takes, and what nobody can say about it: the numbers and variants of `pace.json`.

A world runs at the *quick* pace, which is for logic, or at the *real* pace, which is for what
users feel. A range is a number that the world's seed draws. The result depends only on the seed,
the name and the subject. The order of calls changes nothing.
"""

import hashlib
import json
from pathlib import Path

from .world import WORLD

QUICK = "quick"
REAL = "real"

_DATA = json.loads((Path(__file__).parent.parent / "pace.json").read_text())
NUMBERS = _DATA["numbers"]
VARIANTS = _DATA["variants"]


def is_real():
    return WORLD.pace == REAL


def number(name, subject=""):
    """The number with this name. For a range: the number that belongs to this subject."""
    value = WORLD.numbers.get(name, NUMBERS[name][WORLD.pace])
    if isinstance(value, list):
        low, high = value
        return low + (high - low) * draw(name, subject)
    return value


# Most numbers are seconds, and reading so is easier.
seconds = number


def lowest(name):
    """The least that may be drawn."""
    value = WORLD.numbers.get(name, NUMBERS[name][WORLD.pace])
    return value[0] if isinstance(value, list) else value


def variant(name, subject=""):
    """Which of the variants of a fact this world plays, for this subject."""
    known = VARIANTS[name]
    if name in WORLD.variants:
        return WORLD.variants[name]
    if not is_real():
        return known["quick"]
    # Each as likely as the others, unless weights say otherwise.
    weights = known.get("weights", [1] * len(known["values"]))
    drawn = draw(name, subject) * sum(weights)
    for value, weight in zip(known["values"], weights, strict=True):
        if drawn < weight:
            return value
        drawn -= weight
    return known["values"][-1]


def draw(name, subject=""):
    """At least 0 and less than 1."""
    digest = hashlib.sha256(f"{WORLD.seed}/{name}/{subject}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def ordered():
    """How the world was ordered, for whoever tells of a run."""
    return {
        "pace": WORLD.pace,
        "seed": WORLD.seed,
        "variants": WORLD.variants,
        "numbers": WORLD.numbers,
    }


def order(order):
    """What an order for a world says: its pace, seed, variants, and its own numbers."""
    pace = order.get("pace", QUICK)
    if pace not in (QUICK, REAL):
        raise ValueError(f"pace is {QUICK} or {REAL}, not {pace!r}")
    variants, numbers = order.get("variants") or {}, order.get("numbers") or {}
    for name, value in variants.items():
        if name not in VARIANTS:
            raise ValueError(f"variants has {sorted(VARIANTS)}, not {name!r}")
        if value not in VARIANTS[name]["values"]:
            raise ValueError(f"{name} is one of {VARIANTS[name]['values']}, not {value!r}")
    for name, value in numbers.items():
        if name not in NUMBERS:
            raise ValueError(f"numbers has {sorted(NUMBERS)}, not {name!r}")
        ends = value if isinstance(value, list) else [value]
        if len(ends) not in (1, 2) or not all(isinstance(end, (int, float)) for end in ends):
            raise ValueError(f"{name} is a number or [lowest, highest], not {value!r}")
    WORLD.pace, WORLD.seed = pace, order.get("seed") or 0
    WORLD.variants, WORLD.numbers = variants, numbers
