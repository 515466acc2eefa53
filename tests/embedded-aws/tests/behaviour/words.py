"""The words of AWS that the product matches: error codes, texts of errors, reasons.

No parser of Rust, but a lexer and a few shapes: a literal counts as matched where it is compared in a statement that is
about a code, a message or a reason. What looks like an error code counts wherever it stands.
"""

import re

from . import ROOT

SOURCES = ["shared/src", "functions/*/src", "handoff/src"]

# A comment, a raw string, a string, a character or lifetime, a name, a number or a sign.
TOKEN = re.compile(
    r"""(?P<comment>//[^\n]*|/\*.*?\*/)
    |r(?P<hashes>\#*)"(?P<raw>.*?)"(?P=hashes)
    |"(?P<text>(?:[^"\\]|\\.)*)"
    |(?P<char>'(?:[^'\\]|\\.)')
    |(?P<name>[A-Za-z_]\w*)
    |(?P<sign>==|!=|=>|\|\||&&|::|[^\s\w])
    |(?P<number>\d\w*)""",
    re.DOTALL | re.VERBOSE,
)

# What a statement is about, for its literals to be words of AWS.
ABOUT = {"code", "error_code", "event_type_code", "message", "phrases", "reason", "refused_with", "status_reason"}
COMPARES = {"contains", "starts_with", "ends_with", "matches", "eq", "any", "phrases"}
# Arguments of these are said, not compared.
SAYS = {"call", "cannot", "expect", "format", "warn", "error", "bail", "anyhow", "new", "Ok"}
OURS = {"spot-handoff: "}
DECLARATIONS = ("let", "const", "static")
CODE = re.compile(
    r"[A-Z][A-Za-z]+(Error|Exception|Fault|Denied|NotFound|Exceeded|Contention|InProgress|Mismatch|Expired|Throttl\w*)"
)


def matched():
    """{word: {path, ...}}"""
    found = {}
    for pattern in SOURCES:
        for directory in ROOT.glob(pattern):
            for path in directory.rglob("*.rs"):
                relative = path.relative_to(ROOT)
                if "tests" not in relative.with_suffix("").parts:
                    for word in of_source(path.read_text()):
                        found.setdefault(word, set()).add(str(relative))
    return found


def of_source(text):
    """The words that this Rust source matches."""
    lists, words = {}, set()
    for statement in statements(without_tests(tokens(text))):
        literals = [value for kind, value in statement if kind == "text"]
        names = [value for kind, value in statement if kind == "name"]
        words.update(literal for literal in literals if CODE.fullmatch(literal))
        declares = [name for name in names[:3] if name in DECLARATIONS]
        if declares and ("sign", "[") in statement or "const" in declares:
            name = next((name for name in names if name not in (*DECLARATIONS, "pub", "mut", "crate")), None)
            lists[name] = [literal for literal in literals if literal not in OURS]
        if ABOUT & set(names) and (COMPARES & set(names) or ("sign", "==") in statement):
            words.update(compared(statement))
            for name in names:
                words.update(lists.get(name, []))
    return words


def compared(statement):
    """The literals of a statement that something is compared with; not what is said, and not names of calls."""
    depth = 0
    for at, (kind, value) in enumerate(statement):
        before = statement[at - 1][1] if at else None
        if depth:
            depth += {"(": 1, ")": -1}.get(value, 0) if kind == "sign" else 0
        elif value == "(" and (before in SAYS or before == "!" and statement[at - 2][1] in SAYS):
            depth = 1
        elif kind == "text" and before in ("(", "|", "[", ",", "==", "!=", "&") and is_word(value):
            yield value


def is_word(literal):
    return literal not in OURS and re.search("[A-Za-z]", literal) and "{" not in literal


def tokens(text):
    for match in TOKEN.finditer(text):
        kind = match.lastgroup
        if match["comment"]:
            continue
        if match["raw"] is not None or match["text"] is not None:
            value = match["raw"] if match["raw"] is not None else match["text"]
            yield "text", value.replace('\\"', '"')
        elif kind in ("name", "sign", "number", "char"):
            yield kind, match[kind]


def without_tests(tokens):
    """Leaves out what stands under `#[cfg(test)]`."""
    tokens = list(tokens)
    at, mark = 0, ["#", "[", "cfg", "(", "test", ")", "]"]
    while at < len(tokens):
        if [value for _, value in tokens[at : at + len(mark)]] == mark:
            depth = 0
            while at < len(tokens):
                sign = tokens[at] if tokens[at][0] == "sign" else None
                depth += {("sign", "{"): 1, ("sign", "}"): -1}.get(sign, 0)
                at += 1
                if depth == 0 and sign in (("sign", "}"), ("sign", ";")):
                    break
        else:
            yield tokens[at]
            at += 1


def statements(tokens):
    """The tokens between semicolons and braces."""
    statement, brackets = [], 0
    for kind, value in tokens:
        brackets += {"[": 1, "]": -1}.get(value, 0) if kind == "sign" else 0
        # The semicolon of `[&str; 2]` ends nothing.
        if kind == "sign" and (value in "{}" or value == ";" and not brackets):
            yield statement
            statement, brackets = [], 0
        else:
            statement.append((kind, value))
    yield statement
