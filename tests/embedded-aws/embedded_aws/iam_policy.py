"""Whether a policy's statements allow an action: effects, wildcards and a few conditions.

A condition on a key this AWS knows nothing of holds for every call: a permission that is
missing is found here, one that is too narrow by such a condition is not.
"""

from fnmatch import fnmatchcase


def allowed(statements, action, resource, context):
    effects = {s["Effect"] for s in statements if _covers(s, action, resource, context)}
    return "Allow" in effects and "Deny" not in effects


def _listed(value):
    return value if isinstance(value, list) else [value]


def _covers(statement, action, resource, context):
    actions = _listed(statement.get("Action", []))
    resources = _listed(statement.get("Resource", "*"))
    return (
        any(fnmatchcase(action.lower(), pattern.lower()) for pattern in actions)
        and (resource == "*" or any(fnmatchcase(resource, pattern) for pattern in resources))
        and all(
            _holds(operator, key, _listed(wanted), context)
            for operator, keys in statement.get("Condition", {}).items()
            for key, wanted in keys.items()
        )
    )


def _holds(operator, key, wanted, context):
    values = context.get(key)
    if operator == "Null":
        return not _known(key, context) or (values is None) == (wanted[0] in ("true", True))
    if values is None:
        return not _known(key, context)
    matches = fnmatchcase if operator.endswith(("Like", "ArnEquals")) else _equal
    found = [any(matches(value, pattern) for pattern in wanted) for value in values]
    return all(found) if operator.startswith("ForAllValues:") else any(found)


def _known(key, context):
    """Whether the context would have this key if the call had it."""
    return key in context or (key.startswith("aws:ResourceTag/") and "aws:ResourceTag/" in context)


def _equal(value, wanted):
    return value == wanted
