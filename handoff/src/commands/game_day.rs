//! `cargo handoff drill --fis`: real interruptions by AWS Fault Injection Service, followed and scored.
//!
//! An experiment template is created for this one game day, started, and deleted again in any case. The score uses what
//! AWS can tell every few seconds (what serves in the group and in its target groups), and the reports of the
//! functions.

mod score;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use aws_config::SdkConfig;
use aws_sdk_fis::Client;
use aws_sdk_fis::types::{
    CreateExperimentTemplateActionInput, CreateExperimentTemplateExperimentOptionsInput,
    CreateExperimentTemplateStopConditionInput, CreateExperimentTemplateTargetInput,
    EmptyTargetResolutionMode, ExperimentStatus, ExperimentTemplateTargetInputFilter,
};
use jiff::{SignedDuration, Timestamp};
use spot_handoff::autoscaling::groups::{self, Group, Lifecycle};
use spot_handoff::elb::health::{self, State, TargetHealth};
use spot_handoff::notice::{InstanceId, Signal};
use spot_handoff::report::Report;
use spot_handoff::runtime::clock::Clock;
use spot_handoff::runtime::invocation::Invocation;

use crate::refusal::cannot;
use crate::stack::Stack;
use crate::{logs, style, terminal};
use score::{Look, Score};

/// The time between two looks at the group.
const EVERY: Duration = Duration::from_secs(5);
/// How long one look may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How far the logs' clock may be behind ours.
const SKEW: SignedDuration = SignedDuration::from_mins(1);
/// A search finds log lines up to a minute after they were written.
const LAST_LINES: Duration = Duration::from_secs(60);
/// The time from the start until the ends of the tasks are reported: the two minutes, and the time for the last
/// reports.
const ENDS_TOLD: Duration = Duration::from_secs(210);
/// How the names of the targets and actions in the experiment begin.
const INTERRUPTED: &str = "interrupted";
/// The most actions in one experiment.
/// <https://docs.aws.amazon.com/fis/latest/userguide/fis-quotas.html>
pub const MOST_GROUPS: usize = 20;
/// <https://docs.aws.amazon.com/fis/latest/userguide/fis-actions-reference.html#send-spot-instance-interruptions>
const ACTION: &str = "aws:ec2:send-spot-instance-interruptions";
/// The tag that Auto Scaling puts on each of its instances.
const GROUP_TAG: &str = "aws:autoscaling:groupName";

/// A game day.
#[derive(Debug)]
pub struct GameDay {
    /// What percentage of each group's Spot Instances to interrupt.
    pub percent: u8,
    /// Interrupt only instances in this zone.
    pub zone: Option<String>,
    /// The role that FIS acts with.
    pub role: String,
    /// How soon the group has to be whole again.
    pub whole_within: Duration,
}

/// What FIS should interrupt.
fn target(group: &str, day: &GameDay) -> Result<CreateExperimentTemplateTargetInput> {
    let filter = |path: &str, value: &str| {
        ExperimentTemplateTargetInputFilter::builder()
            .path(path)
            .values(value)
            .build()
            .context("a filter of the experiment's target")
    };
    let target = CreateExperimentTemplateTargetInput::builder()
        .resource_type("aws:ec2:spot-instance")
        .resource_tags(GROUP_TAG, group)
        .filters(filter("State.Name", "running")?)
        .selection_mode(format!("PERCENT({})", day.percent));
    let zone = day.zone.as_deref();
    let target = match zone.map(|zone| filter("Placement.AvailabilityZone", zone)) {
        Some(of_zone) => target.filters(of_zone?),
        None => target,
    };
    target.build().context("the target of the experiment")
}

/// Holds the game day. Returns whether it stayed within its thresholds in each of the groups.
pub async fn hold(
    config: &SdkConfig,
    stack: &Stack,
    groups: &[Group],
    day: &GameDay,
    clock: Clock,
) -> Result<bool> {
    let fis = Client::new(config);
    let template = create(&fis, groups, day).await?;
    let played = tokio::select! {
        played = play(&fis, &template, config, groups, day, clock) => played,
        // Interrupted instances stay interrupted, but no template is left behind.
        _ = tokio::signal::ctrl_c() => Err(anyhow!("ended by Ctrl-C")),
    };
    let deleted = fis.delete_experiment_template().id(&template).send().await;
    if let Err(error) = deleted {
        let error = cannot(
            format!("delete the experiment template {template}"),
            "fis:DeleteExperimentTemplate",
            &error,
        );
        anstream::eprintln!(
            "{}",
            terminal::hang(&format!("{} ", style::warning("!")), &format!("{error:#}"))
        );
    }
    let (began, interrupted, looks) = played?;
    let reports = reports(config, stack, &interrupted, began, clock).await?;
    let mut is_good = true;
    for group in groups {
        let of_group = interrupted_of(group, &interrupted);
        // In one zone, the percentage may be less than one instance for some groups.
        if of_group.is_empty() && groups.len() > 1 {
            continue;
        }
        let is_of_group = |report: &&Report| of_group.iter().any(|id| id.as_str() == report.instance);
        let reports: Vec<Report> = reports.iter().filter(is_of_group).cloned().collect();
        let looks: Vec<Look> = looks
            .iter()
            .filter_map(|look| look.get(&group.name))
            .cloned()
            .collect();
        let score = Score::of(began, &of_group, &looks, &reports);
        anstream::println!();
        if groups.len() > 1 {
            anstream::println!("{}", style::strong(&format!("group {}", group.name)));
        }
        anstream::println!("{}", score.table());
        let problems = score.problems(day.whole_within);
        for problem in &problems {
            anstream::println!("{}", terminal::hang(&format!("{} ", style::bad("✗")), problem));
        }
        is_good &= problems.is_empty();
    }
    Ok(is_good)
}

/// The interrupted instances of a group.
fn interrupted_of(group: &Group, interrupted: &BTreeSet<InstanceId>) -> BTreeSet<InstanceId> {
    let members = group.instances.iter().map(|member| &member.id);
    members.filter(|id| interrupted.contains(id)).cloned().collect()
}

async fn create(fis: &Client, groups: &[Group], day: &GameDay) -> Result<String> {
    let never = CreateExperimentTemplateStopConditionInput::builder()
        .source("none")
        .build()
        .context("the stop condition of the experiment")?;
    // If there are several groups, one may have no matching instance.
    let empty = match groups {
        [_] => EmptyTargetResolutionMode::Fail,
        _ => EmptyTargetResolutionMode::Skip,
    };
    let options =
        CreateExperimentTemplateExperimentOptionsInput::builder().empty_target_resolution_mode(empty);
    let mut template = fis
        .create_experiment_template()
        .client_token(uuid::Uuid::new_v4())
        .description(format!(
            "spot-handoff game day: {} % of {}",
            day.percent,
            about(groups, day)
        ))
        .role_arn(&day.role)
        .experiment_options(options.build())
        .stop_conditions(never);
    for (number, group) in groups.iter().enumerate() {
        let name = format!("{INTERRUPTED}-{number}");
        let interrupt = CreateExperimentTemplateActionInput::builder()
            .action_id(ACTION)
            .parameters("durationBeforeInterruption", "PT2M")
            .targets("SpotInstances", &name)
            .build()
            .context("an action of the experiment")?;
        template = template
            .targets(&name, target(&group.name, day)?)
            .actions(&name, interrupt);
    }
    let answer = template.send().await.map_err(|error| {
        cannot(
            "make the experiment template",
            "fis:CreateExperimentTemplate, iam:PassRole",
            &error,
        )
    })?;
    let template = answer.experiment_template().and_then(|template| template.id());
    Ok(template.context("FIS names no experiment template")?.to_owned())
}

/// Whose instances to interrupt.
pub fn about(groups: &[Group], day: &GameDay) -> String {
    let place = day
        .zone
        .as_ref()
        .map(|zone| format!(" in {zone}"))
        .unwrap_or_default();
    match groups {
        [group] => format!("group {}{place}", group.name),
        groups => format!("{} groups{place}", groups.len()),
    }
}

type Played = (Timestamp, BTreeSet<InstanceId>, Vec<Looks>);

/// The looks at the groups at one moment, by name.
type Looks = BTreeMap<String, Look>;

/// Runs the experiment, and looks at the groups until they are whole again or their time is over.
async fn play(
    fis: &Client,
    template: &str,
    config: &SdkConfig,
    groups: &[Group],
    day: &GameDay,
    clock: Clock,
) -> Result<Played> {
    let mut looks = vec![look(config, groups, clock).await?];
    let began = clock.now();
    let answer = fis
        .start_experiment()
        .client_token(uuid::Uuid::new_v4())
        .experiment_template_id(template)
        .send()
        .await;
    let answer = answer.map_err(|error| cannot("start the experiment", "fis:StartExperiment", &error))?;
    let experiment = answer.experiment().and_then(|experiment| experiment.id());
    let experiment = experiment.context("FIS names no experiment")?.to_owned();
    let until = began.saturating_add(day.whole_within)?;
    let mut interrupted = BTreeSet::new();
    loop {
        tokio::time::sleep(clock.real_duration(EVERY)).await;
        let is_over = is_over(fis, &experiment).await?;
        if interrupted.is_empty() {
            interrupted = resolved(fis, &experiment).await?;
        }
        if interrupted.is_empty() && is_over {
            bail!(
                "the experiment {experiment} took no instance: {} % of the Spot Instances are less than one in {}",
                day.percent,
                about(groups, day)
            );
        }
        let look = look(config, groups, clock).await?;
        let mut of_groups = look.values();
        let is_whole = !interrupted.is_empty() && of_groups.all(|look| look.is_whole_without(&interrupted));
        looks.push(look);
        if is_whole || clock.now() > until {
            return Ok((began, interrupted, looks));
        }
    }
}

/// Whether the experiment is over.
///
/// # Errors
/// If it failed, for example because no instance matches.
async fn is_over(fis: &Client, experiment: &str) -> Result<bool> {
    let answer = fis.get_experiment().id(experiment).send().await;
    let answer = answer.map_err(|error| cannot("follow the experiment", "fis:GetExperiment", &error))?;
    let state = answer.experiment().and_then(|experiment| experiment.state());
    let status = state.and_then(|state| state.status());
    if matches!(
        status,
        Some(ExperimentStatus::Failed | ExperimentStatus::Cancelled | ExperimentStatus::Stopped)
    ) {
        let why = state
            .and_then(|state| state.reason())
            .unwrap_or("it gives no reason");
        bail!("the experiment {experiment} failed: {why}");
    }
    Ok(status == Some(&ExperimentStatus::Completed))
}

/// The instances that FIS has chosen.
async fn resolved(fis: &Client, experiment: &str) -> Result<BTreeSet<InstanceId>> {
    let mut pages = fis
        .list_experiment_resolved_targets()
        .experiment_id(experiment)
        .into_paginator()
        .send();
    let mut chosen = BTreeSet::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| {
            cannot(
                "read which instances the experiment interrupts",
                "fis:ListExperimentResolvedTargets",
                &error,
            )
        })?;
        let arns = page
            .resolved_targets()
            .iter()
            .filter_map(|one| one.target_information()?.get("arn"));
        chosen.extend(arns.filter_map(|arn| arn.rsplit('/').next()?.parse::<InstanceId>().ok()));
    }
    Ok(chosen)
}

async fn look(config: &SdkConfig, groups: &[Group], clock: Clock) -> Result<Looks> {
    let invocation = Invocation::new("handoff", clock, true, PATIENCE);
    let autoscaling = aws_sdk_autoscaling::Client::new(config);
    let names: Vec<String> = groups.iter().map(|group| group.name.clone()).collect();
    let read = groups::read(&autoscaling, &invocation, &[], &names).await;
    let elb = aws_sdk_elasticloadbalancingv2::Client::new(config);
    let health = health::read(&elb, &invocation, read.target_groups()).await;
    let healthy = healthy(&health)?;
    let mut looks = Looks::new();
    for name in names {
        if let Some(error) = read.why_unread(&name) {
            bail!("cannot read the group {name}: {error}");
        }
        let group = read
            .by_name(&name)
            .with_context(|| format!("the group {name} is gone"))?;
        let members = group.instances.iter();
        let in_service = members.filter(|member| member.lifecycle == Lifecycle::InService);
        let own = healthy
            .iter()
            .filter(|(arn, _)| group.target_groups.contains(*arn));
        let look = Look {
            at: clock.now(),
            desired: usize::try_from(group.desired).unwrap_or_default(),
            in_service: in_service.map(|member| member.id.clone()).collect(),
            healthy: own.map(|(arn, count)| (arn.clone(), *count)).collect(),
        };
        looks.insert(name, look);
    }
    Ok(looks)
}

/// How many targets are healthy in each target group.
fn healthy(health: &TargetHealth) -> Result<BTreeMap<String, usize>> {
    let mut counts = BTreeMap::new();
    for (target_group, registered) in health {
        match registered {
            Ok(registered) => {
                let healthy = registered.iter().filter(|one| one.state == State::Healthy);
                counts.insert(target_group.clone(), healthy.count());
            }
            Err(error) => bail!("cannot read the health of {target_group}: {error}"),
        }
    }
    Ok(counts)
}

/// The functions' reports about the interruptions. Waits for the last lines.
async fn reports(
    config: &SdkConfig,
    stack: &Stack,
    interrupted: &BTreeSet<InstanceId>,
    began: Timestamp,
    clock: Clock,
) -> Result<Vec<Report>> {
    let client = aws_sdk_cloudwatchlogs::Client::new(config);
    // The ends of the tasks are reported when the instances are gone.
    let gone = began.saturating_add(ENDS_TOLD)?;
    let until = clock.now().saturating_add(LAST_LINES)?.max(gone);
    let since = began - SKEW;
    loop {
        let mut reports = logs::reports(&client, stack, &[], since).await?;
        let causes = [Signal::INTERRUPTION_WARNING, Signal::FOLLOW_UP];
        reports.retain(|report| causes.contains(&report.signal.as_str()));
        reports.retain(|report| {
            let of_one = |id: &InstanceId| id.as_str() == report.instance;
            interrupted.iter().any(of_one)
        });
        let is_heard = score::unheard(interrupted, &reports).is_empty() && clock.now() > gone;
        if is_heard || clock.now() > until {
            return Ok(reports);
        }
        tokio::time::sleep(clock.real_duration(EVERY)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_is_a_share_of_the_spot_instances_of_the_group_and_zone() {
        let day = |zone: Option<&str>| GameDay {
            percent: 20,
            zone: zone.map(str::to_owned),
            role: "arn:aws:iam::123456789012:role/fis".to_owned(),
            whole_within: Duration::from_secs(600),
        };
        for (zone, paths) in [
            (None, vec!["State.Name"]),
            (
                Some("us-east-1a"),
                vec!["State.Name", "Placement.AvailabilityZone"],
            ),
        ] {
            let target = target("web", &day(zone)).expect("a target");
            assert_eq!(target.selection_mode(), "PERCENT(20)");
            assert_eq!(target.resource_type(), "aws:ec2:spot-instance");
            let tag = target.resource_tags().and_then(|tags| tags.get(GROUP_TAG));
            assert_eq!(tag.map(String::as_str), Some("web"));
            let found: Vec<_> = target.filters().iter().map(|one| one.path()).collect();
            assert_eq!(found, paths);
        }
    }
}
