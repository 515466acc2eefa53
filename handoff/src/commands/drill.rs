//! `cargo handoff drill`: a game day on a deployed stack, through the real bus.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use aws_config::SdkConfig;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use jiff::{SignedDuration, Timestamp};
use spot_handoff::autoscaling::groups::{self, Group, Lifecycle, Member};
use spot_handoff::notice::{DRILL_SOURCE, InstanceId};
use spot_handoff::report::{ActionResult, Report};
use spot_handoff::runtime::clock::Clock;
use spot_handoff::runtime::config::{Env, Scope};
use spot_handoff::runtime::invocation::Invocation;

use super::game_day::{self, GameDay};
use super::signals::Signal;
use crate::NAME;
use crate::refusal::cannot;
use crate::stack::{self, Stack, StackArguments};
use crate::timeline::story::Story;
use crate::usage::{UsageError, no_group};
use crate::{logs, style, terminal};

/// How often to look into the logs.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How long to wait for Auto Scaling.
const PATIENCE: Duration = Duration::from_secs(60);
/// How far the logs' clock may be behind ours.
const SKEW: SignedDuration = SignedDuration::from_mins(1);

/// The maximum width of a paragraph, wherever it is printed.
const WIDTH: usize = 120;

const REAL_INTERRUPTIONS: &str = "\
A drill shows what the functions do, not that AWS takes an instance. For that, --fis has AWS Fault Injection Service \
interrupt Spot Instances of the group, follows what comes of it, and scores it: \
https://docs.aws.amazon.com/fis/latest/userguide/fis-tutorial-spot-interruptions.html";

#[derive(Args)]
#[command(after_help = "\
Examples:
  # What would be done; nothing is changed.
  cargo handoff drill --group inference
  cargo handoff drill --group inference --signal rebalance-recommendation
  # It is done, where the stack has Drills=real. Some signals end the instance.
  cargo handoff drill --group inference --for-real
  # Real interruptions by AWS Fault Injection Service, followed and scored.
  cargo handoff drill --group inference --fis --percent 20 --for-real

Permissions: cloudformation:ListStackResources, cloudformation:DescribeStacks, autoscaling:DescribeAutoScaling*, events:PutEvents, logs:FilterLogEvents; \
with --fis in the place of events:PutEvents fis:CreateExperimentTemplate, fis:DeleteExperimentTemplate, fis:StartExperiment, fis:GetExperiment, \
fis:ListExperimentResolvedTargets, iam:PassRole on the role, elasticloadbalancing:DescribeTargetHealth.")]
pub struct Arguments {
    /// The Auto Scaling group
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new(), required_unless_present = "zone")]
    group: Option<String>,

    /// An instance of the group [default: its first one in service]
    #[arg(long, value_name = "ID")]
    instance: Option<InstanceId>,

    /// What to send
    #[arg(long, value_enum, default_value_t = Signal::InterruptionWarning)]
    signal: Signal,

    /// Have the functions act, which the stack has to allow by Drills=real. Without it they only plan
    #[arg(long)]
    for_real: bool,

    /// Have AWS Fault Injection Service interrupt Spot Instances of the group; needs --for-real
    #[arg(long, conflicts_with_all = ["instance", "signal", "wait"])]
    fis: bool,

    /// With --fis: how many percent of them; AWS rounds down
    #[arg(long, value_name = "PERCENT", default_value_t = 20, value_parser = clap::value_parser!(u8).range(1..=100), requires = "fis")]
    percent: u8,

    /// With --fis: only instances in this Availability Zone. Without --group those of all groups that have some there and are
    /// not opted out
    #[arg(long, value_name = "ZONE", value_parser = NonEmptyStringValueParser::new(), requires = "fis")]
    zone: Option<String>,

    /// With --fis: ARN of the role that it acts with [default: the stack's, which it has with GameDays=true]
    #[arg(long, value_name = "ARN", value_parser = NonEmptyStringValueParser::new(), requires = "fis")]
    fis_role: Option<String>,

    /// With --fis: within so many seconds the group has to be whole again
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..=7200), requires = "fis")]
    whole_within: u64,

    /// Wait so many seconds for the functions' reports
    #[arg(long, value_name = "SECONDS", default_value_t = 90, value_parser = clap::value_parser!(u64).range(1..=3600))]
    wait: u64,

    #[command(flatten)]
    stack: StackArguments,
}

/// Holds the drill. Returns whether all functions reported and none failed.
pub async fn run(arguments: Arguments) -> Result<bool> {
    let clock = Clock::from_env(&Env::of_process())?;
    let (config, stack) = arguments.stack.find().await?;
    if arguments.fis {
        let day = GameDay {
            percent: arguments.percent,
            zone: arguments.zone.clone(),
            role: role(&config, &arguments).await?,
            whole_within: Duration::from_secs(arguments.whole_within),
        };
        return hold(&config, &stack, &arguments, &day, clock).await;
    }
    let drills = may_be(
        stack::parameter(&config, &arguments.stack.stack, "Drills").await?,
        &arguments,
    )?;
    let name = arguments.group.as_deref().context("no --group")?;
    let group = group(&config, name).await?;
    let instance = choose(&group, arguments.instance.as_ref())?;

    let how = if arguments.for_real {
        "for real"
    } else {
        "planned only; --for-real acts"
    };
    say(&stack.place);
    say(&format!(
        "{} for {} in {}, group {} ({how}; the stack has Drills={drills})",
        arguments.signal.detail_type(),
        instance.id,
        instance.zone,
        group.name
    ));
    if arguments.instance.is_none() {
        let doubt = if group.mixes_purchase_options {
            "; the group has On-Demand Instances too, and this may be one: --instance chooses another"
        } else {
            "; --instance chooses another"
        };
        say(&format!(
            "it is the first instance of the group in service{doubt}"
        ));
    }

    let since = clock.now() - SKEW;
    let event_id = put(&config, &arguments, &group.name, instance, clock.now()).await?;
    let reports = follow(&config, &stack, &arguments, &event_id, since, clock).await?;
    let missing = missing(arguments.signal, &reports);
    let story = Story::of(reports).into_iter().next();
    if let Some(story) = &story {
        anstream::println!("\n{}", story.render(clock.now()));
        if has_later_steps(arguments.signal, story) {
            let command = format!(
                "{NAME} timeline --instance {}{}",
                instance.id,
                arguments.stack.options()
            );
            let prefix = format!("{} ", style::warning("!"));
            anstream::println!(
                "{}",
                terminal::hang(&prefix, &format!("later steps follow: {command}"))
            );
        }
    }
    if !missing.is_empty() {
        let text = format!(
            "no report from {} within {} s: is the event source mapping enabled, is a message in a dead-letter \
             queue ({NAME} dlq list)?",
            missing.join(" and "),
            arguments.wait
        );
        anstream::println!("{}", terminal::hang(&format!("{} ", style::bad("✗")), &text));
    }
    anstream::println!();
    let columns = terminal::columns().unwrap_or(WIDTH).min(WIDTH);
    anstream::println!(
        "{}",
        style::dim(&terminal::hang_in(Some(columns), "", REAL_INTERRUPTIONS))
    );
    let good = story.is_some_and(|story| story.verdict(clock.now()).is_good());
    Ok(good && missing.is_empty())
}

/// The role for FIS: the one that was given, or that of the stack.
async fn role(config: &SdkConfig, arguments: &Arguments) -> Result<String> {
    if let Some(role) = &arguments.fis_role {
        return Ok(role.clone());
    }
    let stack = &arguments.stack.stack;
    let output = stack::output(config, stack, "GameDayRole").await?;
    let missing = || {
        UsageError::new(format!(
            "the stack {stack} has no role for FIS: deploy it with GameDays=true, or name one with --fis-role"
        ))
    };
    Ok(output.ok_or_else(missing)?)
}

/// A game day with real interruptions. AWS's events are not drills then, whatever the stack says about drills.
async fn hold(
    config: &SdkConfig,
    stack: &Stack,
    arguments: &Arguments,
    day: &GameDay,
    clock: Clock,
) -> Result<bool> {
    let groups = match &arguments.group {
        Some(name) => vec![group(config, name).await?],
        None => groups_in(config, day.zone.as_deref().unwrap_or_default()).await?,
    };
    say(&stack.place);
    say(&format!(
        "AWS Fault Injection Service interrupts {} % of the Spot Instances of {}",
        day.percent,
        game_day::about(&groups, day)
    ));
    if groups.len() > 1 {
        let names: Vec<&str> = groups.iter().map(|group| group.name.as_str()).collect();
        say(&format!("the groups are {}", names.join(", ")));
    }
    if !arguments.for_real {
        say("nothing was done: --for-real has AWS take these instances");
        return Ok(true);
    }
    game_day::hold(config, stack, &groups, day, clock).await
}

/// Prints a line that says what is about to happen.
fn say(text: &str) {
    anstream::println!("{}", style::dim(&terminal::hang("", text)));
}

/// The parameter `Drills` of the stack, if it allows this drill. A stack without this parameter is from an older
/// version, and takes every drill.
///
/// # Errors
/// What to change, if it does not allow the drill.
fn may_be(drills: Option<String>, arguments: &Arguments) -> Result<String, UsageError> {
    let drills = drills.unwrap_or_else(|| "real".to_owned());
    let needed = match (drills.as_str(), arguments.for_real) {
        ("off", false) => "plan",
        ("off" | "plan", true) => "real",
        _ => return Ok(drills),
    };
    Err(UsageError::new(format!(
        "the stack {} has Drills={drills}: nothing was sent. Deploy it with Drills={needed} for the time of the drill",
        arguments.stack.stack
    )))
}

async fn group(config: &SdkConfig, name: &str) -> Result<Group> {
    let client = aws_sdk_autoscaling::Client::new(config);
    let invocation = Invocation::new("handoff", Clock::real(), true, PATIENCE);
    let read = groups::read(&client, &invocation, &[], &[name.to_owned()]).await;
    if let Some(error) = read.why_unread(name) {
        bail!("cannot read the group {name}: {error}");
    }
    let group = read.by_name(name).cloned().ok_or_else(|| no_group(name))?;
    // The functions know the stack's Scope. A group that is opted out is so with every Scope.
    Scope::All
        .admits(Some(&group))
        .map_err(|reason| UsageError::new(format!("{reason}: the functions would leave it alone")))?;
    Ok(group)
}

/// The groups that have instances in the zone and are not opted out.
async fn groups_in(config: &SdkConfig, zone: &str) -> Result<Vec<Group>> {
    let client = aws_sdk_autoscaling::Client::new(config);
    let pages = client
        .describe_auto_scaling_groups()
        .into_paginator()
        .items()
        .send();
    let all = pages
        .collect::<Result<Vec<_>, _>>()
        .await
        .map_err(|error| cannot("read the groups", "autoscaling:DescribeAutoScalingGroups", &error))?;
    let is_there = |group: &Group| group.instances.iter().any(|member| member.zone == zone);
    let in_zone = all.into_iter().map(Group::from).filter(is_there);
    let found: Vec<Group> = in_zone
        .filter(|group| Scope::All.admits(Some(group)).is_ok())
        .collect();
    match found.len() {
        0 => Err(UsageError::new(format!("no group has an instance in {zone}")).into()),
        1..=game_day::MOST_GROUPS => Ok(found),
        many => Err(UsageError::new(format!(
            "{many} groups have instances in {zone}, more than the {} actions of one experiment: name one with --group",
            game_day::MOST_GROUPS
        ))
        .into()),
    }
}

/// The instance for the drill.
fn choose<'a>(group: &'a Group, wanted: Option<&InstanceId>) -> Result<&'a Member, UsageError> {
    let name = &group.name;
    match wanted {
        Some(id) => group
            .instances
            .iter()
            .find(|member| member.id == *id)
            .ok_or_else(|| {
                let ids: Vec<_> = group.instances.iter().map(|member| member.id.as_str()).collect();
                let has = if ids.is_empty() {
                    "none".to_owned()
                } else {
                    ids.join(", ")
                };
                UsageError::new(format!("group {name} has no instance {id}; it has {has}"))
            }),
        None => {
            let in_service = |member: &&Member| member.lifecycle == Lifecycle::InService;
            let first = group.instances.iter().find(in_service);
            first.ok_or_else(|| {
                UsageError::new(format!(
                    "group {name} has no instance in service: --instance chooses one in another state"
                ))
            })
        }
    }
}

/// Puts the event on the bus. Returns its id.
async fn put(
    config: &SdkConfig,
    arguments: &Arguments,
    group: &str,
    instance: &Member,
    now: Timestamp,
) -> Result<String> {
    let mut detail = arguments.signal.detail(instance.id.as_str(), group, now);
    detail["for-real"] = arguments.for_real.into();
    let entry = PutEventsRequestEntry::builder()
        .source(DRILL_SOURCE)
        .detail_type(arguments.signal.detail_type())
        .detail(detail.to_string())
        .build();
    let client = aws_sdk_eventbridge::Client::new(config);
    let answer = client.put_events().entries(entry).send().await;
    let answer = answer.map_err(|error| cannot("put the event on the bus", "events:PutEvents", &error))?;
    let result = answer.entries().first().context("EventBridge answered nothing")?;
    result.event_id().map(str::to_owned).ok_or_else(|| {
        let code = result.error_code().unwrap_or("no reason given");
        anyhow!(
            "EventBridge refused the event: {code}: {}",
            result.error_message().unwrap_or_default()
        )
    })
}

/// Reads the logs until every function has reported, or the time is over.
async fn follow(
    config: &SdkConfig,
    stack: &Stack,
    arguments: &Arguments,
    event_id: &str,
    since: Timestamp,
    clock: Clock,
) -> Result<Vec<Report>> {
    let client = aws_sdk_cloudwatchlogs::Client::new(config);
    let until = clock.now().saturating_add(Duration::from_secs(arguments.wait))?;
    loop {
        let reports = logs::reports(&client, stack, &[("event_id", event_id)], since).await?;
        if missing(arguments.signal, &reports).is_empty() || clock.now() > until {
            return Ok(reports);
        }
        tokio::time::sleep(clock.real_duration(LOOK_AGAIN)).await;
    }
}

/// Whether delayed messages continue what the functions have begun.
fn has_later_steps(signal: Signal, story: &Story) -> bool {
    let mut actions = story.reports.iter().flat_map(|report| &report.actions);
    actions.any(|action| match action.result {
        ActionResult::Later => true,
        ActionResult::Done => signal.begins_exchange(),
        _ => false,
    })
}

/// The functions that have not reported yet.
fn missing(signal: Signal, reports: &[Report]) -> Vec<&'static str> {
    let heard: BTreeSet<&str> = reports.iter().map(|report| report.function.as_str()).collect();
    let functions = signal.functions().iter().copied();
    functions.filter(|function| !heard.contains(function)).collect()
}
