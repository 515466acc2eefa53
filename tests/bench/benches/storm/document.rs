//! `docs/benchmark.md`: the tables, the plot, and how they came about.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result};
use bench::figures::Figures;
use bench::machine;
use bench::needed;
use bench::run::Outcome;
use bench::table;

use crate::growth::{Curve, until_all_done};
use crate::plot;

const HOW: &str = "\
Interruption warnings for all instances arrive within one second. They go through the rules and queues of `template.yaml`
to the three function binaries, which run as processes against a Lambda Runtime API. The AWS that they call is a small one in
memory. It takes 20 to 60 ms for each call. It throttles with token buckets and the request rates of
[`request-rates.json`](../tests/embedded-aws/request-rates.json): AWS's documented rates for ECS and Elastic Load Balancing,
cautious assumptions for Auto Scaling. Each queue has 5 pollers at first and up to 300 more a minute, as Lambda has.

The instances are spread over 10 Auto Scaling groups, 5 clusters and 20 target groups. Each instance is a target of its group,
and runs a service task that is a target, too. Every tenth also has a standalone task. Each target group has as many
On-Demand instances as Spot Instances. They are the half that has to stay, so no target is held.

What the columns count:

- *Seconds* run from each instance's event to the last change that the AWS saw.
- *Calls* include retries and throttled calls.
- *Round trips* are the calls, each after the answer of the one before, until the first change. For deregister-targets the
  first change is the targets of the group. If Auto Scaling was faster, because replace-capacity detached the instance, it
  is the targets of ECS services, which take more round trips to find.
- *Queue calls* are the calls by which a function takes messages from its own queue, ten at a time, and settles them. Lambda
  makes them for other functions, and SQS does not limit them on a standard queue.

The baseline ([`tests/bench/baseline`](../tests/bench/baseline)) works like the public samples in Python: one invocation for
each event, boto3, awslambdaric. It deregisters only the targets that Auto Scaling deregisters for a detached instance. The
targets of ECS services stay. A machine with few processors starts far fewer Python processes in a second than Lambda would.
So the baseline's seconds say more about the machine than its calls do. It only runs up to the size that finishes.
";

const NEEDED: &str = "\
*Needed* is the least number of calls that a storm takes, computed in `tests/bench/src/needed.rs`: one invocation of each
function has all notices, searches container instances and tasks in the cheapest way, is never throttled, and writes its
reports and messages. *Made* is the number of calls that were made, throttled calls and looks included. Neither number has
the late stops: they take one call for each task that ECS has not moved by then. A storm goes to at least two invocations of
each function, and each searches for itself: Lambda begins with five pollers, and the lowest maximum concurrency of a queue
is two.
";

/// Writes the document, and the plot beside it.
pub fn write(docs: &Path, ours: &[Outcome], theirs: &[Outcome], curves: &[Curve]) -> Result<()> {
    let mut text = format!("# A storm of interruptions\n\n{}\n{HOW}", origin());
    let _ = write!(text, "\n## spot-handoff\n\n{}", of_all(ours));
    let _ = write!(text, "\n## Calls that it takes\n\n{NEEDED}\n{}", needed(ours));
    if !theirs.is_empty() {
        let _ = write!(text, "\n## The baseline in Python\n\n{}", of_all(theirs));
        let _ = write!(text, "\n## Side by side\n\n{}", side_by_side(ours, theirs));
    }
    if !curves.is_empty() {
        plot::write(&docs.join("benchmark-growth.svg"), curves)?;
        let _ = write!(text, "\n## Growth\n\n{}", growth(curves));
    }
    let path = docs.join("benchmark.md");
    std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    eprintln!("wrote {}", path.display());
    Ok(())
}

/// Machine, date and command.
fn origin() -> String {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    let arguments = if arguments.is_empty() {
        String::new()
    } else {
        format!(" -- {}", arguments.join(" "))
    };
    format!(
        "{}, `cargo bench --bench storm{arguments}`\n",
        machine::described()
    )
}

fn of_all(outcomes: &[Outcome]) -> String {
    let rows: String = outcomes.iter().map(table::rows).collect();
    format!("{}{rows}", table::head())
}

fn needed(outcomes: &[Outcome]) -> String {
    let mut text =
        "| instances | function | needed | made | ratio | of these refused |\n|---|---|---|---|---|---|\n"
            .to_owned();
    for outcome in outcomes {
        for (function, figures) in &outcome.functions {
            let Some(needed) = needed::of(function, outcome.size) else {
                continue;
            };
            let (instances, calls) = (outcome.size.instances, figures.without_stops.made);
            let ratio = calls as f64 / needed as f64;
            let throttled = figures.without_stops.throttled;
            let _ = writeln!(
                text,
                "| {instances} | {function} | {needed} | {calls} | {ratio:.1} | {throttled} |"
            );
        }
    }
    text
}

fn side_by_side(ours: &[Outcome], theirs: &[Outcome]) -> String {
    let mut text = "| instances | | spot-handoff | baseline | ratio |\n|---|---|---|---|---|\n".to_owned();
    let figures = |outcome: &Outcome, function: &str| -> Option<Figures> {
        let found = outcome.functions.iter().find(|(name, _)| name == function);
        found.map(|(_, figures)| figures.clone())
    };
    for theirs in theirs {
        let Some(ours) = ours.iter().find(|ours| ours.size == theirs.size) else {
            continue;
        };
        for (what, own, other) in [
            ("draining", "drain-tasks", "drain"),
            ("replaced", "replace-capacity", "detach"),
        ] {
            let (Some(own), Some(other)) = (figures(ours, own), figures(theirs, other)) else {
                continue;
            };
            let n = theirs.size.instances;
            let row = |name: String, own: f64, other: f64| {
                format!("| {n} | {name} | {own:.1} | {other:.1} | {:.1} |\n", other / own)
            };
            if let (Some(own), Some(other)) = (own.percentile(99.0), other.percentile(99.0)) {
                text += &row(format!("{what}: p99 seconds"), own, other);
            }
            text += &row(format!("{what}: calls"), own.calls as f64, other.calls as f64);
            let _ = writeln!(
                text,
                "| {n} | {what}: not done | {} | {} | |",
                own.unfinished, other.unfinished
            );
        }
        if let (Some(own), Some(other)) = (ours.processor, theirs.processor) {
            let (own, other) = (own.as_secs_f64(), other.as_secs_f64());
            let n = theirs.size.instances;
            let _ = writeln!(
                text,
                "| {n} | processor seconds | {own:.1} | {other:.1} | {:.1} |",
                other / own
            );
        }
    }
    text
}

fn growth(curves: &[Curve]) -> String {
    let mut text = "![Calls and seconds as each thing grows alone](benchmark-growth.svg)\n\n".to_owned();
    text += "| varied | how many | calls | until all was done |\n|---|---|---|---|\n";
    for curve in curves {
        for ((step, calls), (_, outcome)) in curve.calls().zip(&curve.points) {
            let seconds = until_all_done(outcome).map_or("not done".to_owned(), |s| format!("{s:.1} s"));
            let _ = writeln!(text, "| {} | {step} | {calls} | {seconds} |", curve.what);
        }
    }
    text += "\nWhat bounds each curve:\n\n";
    for curve in curves {
        let _ = writeln!(text, "- **{}**: {}", curve.what, curve.bound);
    }
    text
}
