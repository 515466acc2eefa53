#!/usr/bin/env python3
"""Computes from template.yaml what a stack costs while nothing happens, and what an interruption costs: alarms,
metrics, pollers. Compares docs/cost.md with it, and the idle cost with its limit. With UPDATE=1 it writes the tables.
"""

import os
import re
import sys
from pathlib import Path

from cloudformation import load

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "cost.md"
# USD a month and region, without the dashboard.
LIMIT = 4.00
HOURS = 730

# USD in us-east-1, beyond every free tier; the page has the sources.
PRICE = {
    "alarm": 0.10,
    "dashboard": 3.00,
    "metric": 0.30,
    "sqs": 0.40e-6,
    "invocation": 0.20e-6,
    "gb-second": 0.0000166667,
    "write": 0.625e-6,
    "read": 0.125e-6,
    "event": 1.00e-6,
    "mail": 2.00 / 100_000,
    "log-gb": 0.50,
}

# Lambda's pollers of an idle queue, each waiting 20 s for a message. Without ScalingConfig there may be only two.
POLLERS, FEWEST_POLLERS, POLLS_A_MINUTE = 5, 2, 3

# Types that cost nothing while nothing happens. If you add a type, say here or in `idle` what it costs.
FREE = {
    "AWS::DynamoDB::Table", "AWS::Events::Rule", "AWS::IAM::Policy", "AWS::IAM::Role", "AWS::Lambda::Permission",
    "AWS::Logs::LogGroup", "AWS::SNS::Topic", "AWS::SNS::TopicPolicy", "AWS::SQS::Queue", "AWS::SQS::QueuePolicy",
    "AWS::SSM::Document",
    "AWS::Serverless::Function",
}

# An interruption, a high estimate: a look every ten seconds in each function that hands off, two events and one
# message.
LOOKS, SECONDS, LINE_KB, WRITE_UNITS, READ_UNITS = 12, 0.5, 4, 3, 20


def of_type(template, type_):
    return {name: r for name, r in template["Resources"].items() if r["Type"] == type_}


def queues_polled(template):
    """For each function's event sources: the most and the fewest pollers of an idle queue."""
    for name, function in of_type(template, "AWS::Serverless::Function").items():
        for source in function["Properties"].get("Events", {}).values():
            limited = "ScalingConfig" in source["Properties"]
            yield name, POLLERS, POLLERS if limited else FEWEST_POLLERS


def metrics_of_alarm(alarm):
    return max(1, sum("MetricStat" in metric for metric in alarm["Properties"].get("Metrics", [])))


def problems(template):
    for name, resource in template["Resources"].items():
        if resource["Type"] not in FREE | {"AWS::CloudWatch::Alarm", "AWS::CloudWatch::Dashboard"}:
            yield f"{name}: nobody said what {resource['Type']} costs while nothing happens"
    for name, table in of_type(template, "AWS::DynamoDB::Table").items():
        if table["Properties"].get("BillingMode") != "PAY_PER_REQUEST":
            yield f"{name} costs something while nothing happens"
    for name, function in of_type(template, "AWS::Serverless::Function").items():
        if "ProvisionedConcurrencyConfig" in function["Properties"]:
            yield f"{name} costs something while nothing happens"
    for name, alarm in of_type(template, "AWS::CloudWatch::Alarm").items():
        if alarm["Properties"].get("Period", 60) < 60:
            yield f"{name} has a high resolution, which costs three times as much"


def idle(template):
    """(what, reckoning, USD at the least, USD at the most) a month."""
    alarms = sum(metrics_of_alarm(alarm) for alarm in of_type(template, "AWS::CloudWatch::Alarm").values())
    yield "CloudWatch alarms", f"{alarms} × {PRICE['alarm']:.2f} USD", *[alarms * PRICE["alarm"]] * 2
    queues = list(queues_polled(template))
    most, fewest = sum(q[1] for q in queues), sum(q[2] for q in queues)
    polls = POLLS_A_MINUTE * 60 * HOURS
    reckoning = f"{fewest} to {most} pollers of {len(queues)} queues × {polls:,} polls × {PRICE['sqs'] * 1e6:.2f} USD a million"
    yield "SQS, polled by Lambda", reckoning, fewest * polls * PRICE["sqs"], most * polls * PRICE["sqs"]
    yield "rules, topics, functions, roles, table, log groups", "nothing while nothing happens", 0, 0


def interruption(template):
    functions = len(of_type(template, "AWS::Serverless::Function"))
    invocations = (functions - 1) * (1 + LOOKS) + 4
    memory = template["Globals"]["Function"]["MemorySize"] / 1024
    yield "Lambda", f"{invocations} invocations of {SECONDS} s at {memory:g} GB", invocations * (
        PRICE["invocation"] + SECONDS * memory * PRICE["gb-second"])
    yield "SQS", f"{invocations} messages, each sent, received, deleted", invocations * 3 * PRICE["sqs"]
    yield "DynamoDB", f"{invocations} × {WRITE_UNITS} write units, {READ_UNITS} read units", (
        invocations * WRITE_UNITS * PRICE["write"] + READ_UNITS * PRICE["read"])
    yield "CloudWatch Logs", f"{invocations} × {LINE_KB} KB", invocations * LINE_KB / 1e6 * PRICE["log-gb"]
    yield "EventBridge, SNS", "two events, one mail; AWS's own events are free", 2 * PRICE["event"] + PRICE["mail"]


def metrics():
    """How many custom metrics there are for a function, by docs/observability.md."""
    page = (ROOT / "docs" / "observability.md").read_text()
    section = page.split("\n## Metrics\n")[1].split("\n## ")[0]
    return len(re.findall(r"(?m)^\| `\w+` \|", section))


def tables(template):
    lines = ["| a month and region | reckoning | USD |", "|---|---|---:|"]
    parts = list(idle(template))
    lines += [f"| {what} | {how} | {span(least, most)} |" for what, how, least, most in parts]
    least, most = (sum(part[i] for part in parts) for i in (2, 3))
    lines.append(f"| **idle** | | **{span(least, most)}** |")
    lines.append(f"| the dashboard, unless `Dashboard=false` | {PRICE['dashboard']:.2f} USD | {PRICE['dashboard']:.2f} |")
    yield "idle", "\n".join(lines)
    lines = ["| an interruption | reckoning | USD |", "|---|---|---:|"]
    parts = list(interruption(template))
    lines += [f"| {what} | {how} | {usd:.5f} |" for what, how, usd in parts]
    lines.append(f"| **together** | | **{sum(part[2] for part in parts):.5f}** |")
    yield "interruption", "\n".join(lines)
    functions, each = len(of_type(template, "AWS::Serverless::Function")), metrics()
    hour = functions * each * PRICE["metric"] / HOURS
    yield "metrics", (
        f"Custom metrics are billed by the hour in which they have values: at most {each} metrics × {functions} functions × "
        f"{PRICE['metric']:.2f} USD ÷ {HOURS} = {hour:.3f} USD for an hour with interruptions, however many."
    )


def span(least, most):
    return f"{most:.2f}" if f"{least:.2f}" == f"{most:.2f}" else f"{least:.2f} to {most:.2f}"


def main():
    template = load((ROOT / "template.yaml").read_text())
    said = list(problems(template))
    most = sum(part[3] for part in idle(template))
    if most > LIMIT:
        said.append(f"idle the stack costs {most:.2f} USD a month; the limit is {LIMIT:.2f}")
    page = old = PAGE.read_text()
    for name, table in tables(template):
        block = re.compile(rf"(<!-- {name}: made by tests/lint/costs\.py -->\n).*?(\n<!-- end -->)", re.DOTALL)
        page, count = block.subn(lambda m: f"{m[1]}{table}{m[2]}", page)
        if count != 1:
            said.append(f"docs/cost.md has no place for {name}")
    if page != old and os.environ.get("UPDATE"):
        PAGE.write_text(page)
    elif page != old:
        said.append("docs/cost.md is out of date: UPDATE=1 tests/lint/run")
    alarms = len(of_type(template, "AWS::CloudWatch::Alarm"))
    if f"There are {alarms} alarms." not in (ROOT / "docs" / "observability.md").read_text():
        said.append(f"docs/observability.md does not say that there are {alarms} alarms")
    print(*(f"lint: {sentence}" for sentence in said), sep="\n", end="\n" if said else "", file=sys.stderr)
    return int(bool(said))


if __name__ == "__main__":
    sys.exit(main())
