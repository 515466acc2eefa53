"""Whether a policy's statements allow an action: effects, wildcards, conditions, as IAM decides.

A key that a call does not have is absent, as in AWS. An operator that is unknown here is an
error, so that no template can use it and pass untested.
"""

import re


def allowed(statements, action, resource, context):
    effects = {s["Effect"] for s in statements if _covers(s, action, resource, context)}
    return "Allow" in effects and "Deny" not in effects


def listed(value):
    return value if isinstance(value, list) else [value]


def like(value, pattern):
    """IAM's wildcards, * and ?; every other character stands for itself."""
    expression = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(expression, value, re.DOTALL) is not None


def _covers(statement, action, resource, context):
    return (
        any(like(action.lower(), pattern.lower()) for pattern in listed(statement["Action"]))
        and any(like(resource, pattern) for pattern in listed(statement["Resource"]))
        and all(
            _holds(operator, context.get(key), [str(one) for one in listed(wanted)])
            for operator, keys in statement.get("Condition", {}).items()
            for key, wanted in keys.items()
        )
    )


MATCHES = {
    "StringEquals": lambda value, wanted: value == wanted,
    "StringLike": like,
    "ArnEquals": like,  # the same as ArnLike, by the documentation
    "ArnLike": like,
}


def _holds(operator, values, wanted):
    if operator == "Null":
        return (values is None) == (wanted[0].lower() == "true")
    for_all = operator.startswith("ForAllValues:")
    operator = operator.removeprefix("ForAllValues:")
    negated = "Not" in operator
    matches = MATCHES[operator.replace("Not", "")]
    found = [any(matches(value, one) for one in wanted) != negated for value in values or []]
    if for_all:
        return all(found)
    # An absent key is not equal to anything, so it passes a negated condition.
    return any(found) if found else negated
