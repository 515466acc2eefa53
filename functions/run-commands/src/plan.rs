//! Whose stop script runs, and when: pure functions from facts to plans.
//!
//! A script begins when its instance's targets are out; at the latest when the time left is just enough for it. Without
//! targets, it begins only at that latest moment. It begins at once if the group says so. Until then, there is a look
//! every ten seconds. The table says whether the script has been sent; see [`spot_handoff::state::stop_scripts`].

mod words;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use spot_handoff::autoscaling::groups::{Group, GroupOf, Groups};
use spot_handoff::autoscaling::policies::{self, DryRun, StopDocument, StopSeconds, StopWhen};
use spot_handoff::exchange;
use spot_handoff::notice::{Cause, FollowUp, InstanceAction, InstanceId, Notice, Signal, Step};
use spot_handoff::report::plan as shared_plan;
use spot_handoff::state::stop_scripts::{ON_THE_WAY, Stage, StopScript, begins_by, over_by};

pub use words::{Action, Command, Ended, Skip, Warning};

use crate::config::Config;
use crate::facts::{Facts, State};

/// A plan of this function.
pub type Plan = shared_plan::Plan<Action, Skip, Warning>;

/// The time between two looks at whether the targets are out.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_secs(10);
/// The time between two looks at whether the script has ended.
const FOLLOW: SignedDuration = SignedDuration::from_secs(5);
/// A delayed message comes up to a second early, since SQS counts whole seconds.
const EARLY: SignedDuration = SignedDuration::from_secs(1);
/// If an agent has not taken a command within this time, it does not get it. This is the shortest time that AWS allows.
/// <https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_SendCommand.html>
pub const DELIVERED_WITHIN: SignedDuration = SignedDuration::from_secs(30);

/// A stop script that a notice asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The group whose tags ask for it.
    pub group: String,
    /// The document.
    pub document: String,
    /// How long it may take.
    pub takes: SignedDuration,
    /// When it runs.
    pub when: StopWhen,
    /// Target groups that the instance may be in.
    pub target_groups: BTreeSet<String>,
    /// Whether its group is only planned for.
    pub planned_only: bool,
    /// Warnings about tags that are not valid.
    pub warnings: Vec<Warning>,
}

impl Wanted {
    fn of(group: &Group) -> Result<Self, Vec<Warning>> {
        let group_of = Some(group);
        let (document, unknown_document) = policies::of_group(group_of, StopDocument::default());
        let (takes, unknown_takes) = policies::of_group(group_of, StopSeconds::default());
        let (when, unknown_when) = policies::of_group(group_of, StopWhen::default());
        let (planned_only, unknown_dry_run) = DryRun::of(group_of);
        let unknown = [unknown_document, unknown_takes, unknown_when, unknown_dry_run];
        let warnings: Vec<Warning> = unknown
            .into_iter()
            .flatten()
            .map(Warning::UnknownPolicy)
            .collect();
        match document.0 {
            None => Err(warnings),
            Some(document) => Ok(Self {
                group: group.name.clone(),
                document,
                takes: takes.0,
                when,
                target_groups: group.target_groups.clone(),
                planned_only,
                warnings,
            }),
        }
    }
}

/// The group that a notice names. The instance may have left it.
pub fn named_group(notice: &Notice) -> Option<&str> {
    match &notice.signal {
        Signal::TerminateLifecycleAction(action) => Some(&action.group),
        Signal::FollowUp(follow_up) => match &follow_up.step {
            Step::MoveWork { group, .. } | Step::AwaitScript { group, .. } => Some(group),
            Step::Look { group, .. } => group.as_deref(),
            _ => None,
        },
        _ => None,
    }
}

/// The script that a notice asks for.
///
/// # Errors
/// If it asks for none, or this cannot be known: the plan that says so.
pub fn wanted(notice: &Notice, groups: &Groups, config: &Config) -> Result<Wanted, Box<Plan>> {
    let nothing = |skip| Err(Box::new(Plan::nothing(&notice.instance, skip)));
    let unread = |error: String| {
        Err(Box::new(Plan {
            problems: vec![error],
            ..Plan::default()
        }))
    };
    let is_follow_up = matches!(notice.signal, Signal::FollowUp(_));
    match &notice.signal {
        Signal::InterruptionWarning { .. } | Signal::ScheduledRetirement { .. } => {}
        Signal::TerminateLifecycleAction(action) if config.lifecycle_hooks.include(&action.hook) => {}
        Signal::TerminateLifecycleAction(action) => {
            return nothing(Skip::ForeignHook {
                hook: action.hook.clone(),
            });
        }
        Signal::FollowUp(FollowUp {
            step: Step::MoveWork { .. } | Step::Look { .. },
            ..
        }) => {}
        Signal::FollowUp(_)
        | Signal::RebalanceRecommendation
        | Signal::Returned
        | Signal::ScheduledRestart(_)
        | Signal::StateChange { .. } => {
            return nothing(Skip::NotForThisFunction);
        }
    }
    let group = match named_group(notice) {
        Some(name) => match (groups.by_name(name), groups.why_unread(name)) {
            (Some(group), _) => group,
            (None, Some(error)) => return unread(error.to_string()),
            (None, None) => return nothing(Skip::InNoGroup),
        },
        None => match groups.of_instance(&notice.instance) {
            GroupOf::Some { group, .. } => group,
            GroupOf::None => return nothing(Skip::InNoGroup),
            GroupOf::Unknown(error) => return unread(error.to_string()),
        },
    };
    // The sender of a follow-up has already decided that the instance is ours.
    if !is_follow_up {
        if let Err(why) = config.scope.admits(Some(group)) {
            return nothing(Skip::OutOfScope(why));
        }
        if exchange::replacement_comes_first(notice, &groups.of_instance(&notice.instance)) {
            return nothing(Skip::WaitsForReplacement);
        }
    }
    Wanted::of(group).map_err(|warnings| {
        let mut plan = Plan::nothing(&notice.instance, Skip::NoStopScript);
        plan.warnings = warnings;
        Box::new(plan)
    })
}

/// Whether the script begins now because of the time alone.
pub fn is_due(notice: &Notice, wanted: &Wanted, now: Timestamp) -> bool {
    // Hibernation begins at once with the warning.
    let hibernates = matches!(
        &notice.signal,
        Signal::InterruptionWarning {
            action: InstanceAction::Hibernate
        }
    );
    let begins = begins_by(notice.time, notice.deadline(), wanted.takes);
    let begins = begins.saturating_sub(EARLY).unwrap_or(begins);
    hibernates || wanted.when == StopWhen::Now || now >= begins
}

/// Whether the script begins now. An instance that is no target and goes at a known moment works until the last safe
/// moment.
pub fn begins(notice: &Notice, wanted: &Wanted, facts: &Facts, now: Timestamp) -> bool {
    let works_on = wanted.target_groups.is_empty() && cause(notice) == Some(Cause::Interruption);
    is_due(notice, wanted, now) || (!works_on && targets_are_out(notice, wanted, facts))
}

/// Whether no target of the instance is registered any more, not even a draining one. If targets cannot be read, the
/// answer is no.
fn targets_are_out(notice: &Notice, wanted: &Wanted, facts: &Facts) -> bool {
    wanted
        .target_groups
        .iter()
        .all(|arn| match facts.health.get(arn) {
            Some(Ok(registered)) => registered
                .iter()
                .all(|one| one.target.id != notice.instance.as_str()),
            Some(Err(error)) => spot_handoff::elb::health::is_gone(error),
            None => false,
        })
}

/// What to do about a requested script.
pub fn plan(notice: &Notice, wanted: &Wanted, facts: &Facts, now: Timestamp) -> Plan {
    let mut plan = Plan::default();
    // The first report has said this.
    if !is_look(notice) {
        plan.warnings.clone_from(&wanted.warnings);
    }
    let item = match &facts.items {
        Ok(items) => items.get(&notice.instance).map(|versioned| &versioned.item),
        Err(_) => None,
    };
    match item.map(|item| (&item.stage, item.is_abandoned(now))) {
        Some((Stage::Sent { .. } | Stage::Over, _)) => {
            plan.skip(&notice.instance, Skip::SentBefore);
            return plan;
        }
        // The invocation that claimed it is sending it, or has ended.
        Some((Stage::Claimed, false)) => {
            plan.actions.push(look(
                notice,
                wanted,
                now.saturating_add(LOOK_AGAIN).unwrap_or(now),
            ));
            return plan;
        }
        Some((Stage::Claimed, true)) | None => {}
    }
    if !begins(notice, wanted, facts, now) {
        let begins = begins_by(notice.time, notice.deadline(), wanted.takes);
        let soon = now.saturating_add(LOOK_AGAIN).unwrap_or(now);
        plan.actions.push(look(notice, wanted, soon.min(begins)));
        return plan;
    }
    match facts.sent_before.get(&notice.instance) {
        Some(Ok(Some(command))) => {
            plan.actions.push(follow(notice, wanted, command, now, now));
            return plan;
        }
        Some(Err(error)) if item.is_some() => {
            // Somebody claimed it, and it is not known whether it was sent. The message comes back and asks again.
            plan.problems.push(error.to_string());
            return plan;
        }
        _ => {}
    }
    // A look follows each failed try, so only the time ends the tries.
    let over = notice
        .deadline()
        .unwrap_or_else(|| over_by(notice.time, None, wanted.takes));
    if now >= over {
        plan.actions.push(Action::End(Ended {
            instance: notice.instance.clone(),
            document: wanted.document.clone(),
            command: None,
            status: NOT_SENT.to_owned(),
            saved: false,
            exit_code: None,
            output: "there was no time left for it: the notice came late, or sending it failed".to_owned(),
        }));
        return plan;
    }
    if let Err(error) = &facts.items {
        let error = error.0.clone();
        plan.warnings.push(Warning::TableUnread { error });
    }
    let declared = match facts.documents.get(&wanted.document) {
        Some(Ok(declared)) => declared.clone(),
        Some(Err(error)) => {
            plan.warnings.push(Warning::DocumentUnread {
                document: wanted.document.clone(),
                error: error.to_string(),
            });
            BTreeSet::new()
        }
        None => BTreeSet::new(),
    };
    plan.actions.push(Action::Run(Command {
        instance: notice.instance.clone(),
        group: wanted.group.clone(),
        document: wanted.document.clone(),
        parameters: parameters(notice, wanted, &declared, now),
        until: waits_until(notice, wanted, now),
    }));
    plan
}

fn is_look(notice: &Notice) -> bool {
    matches!(&notice.signal, Signal::FollowUp(follow_up) if matches!(follow_up.step, Step::Look { .. }))
}

/// The status of a script that was never sent.
pub const NOT_SENT: &str = "Not sent";
/// The status of a script that did not end in time.
const NO_END: &str = "No end in time";

/// Until when to wait for the end of a script that begins now.
fn waits_until(notice: &Notice, wanted: &Wanted, now: Timestamp) -> Timestamp {
    let takes = wanted
        .takes
        .saturating_add(DELIVERED_WITHIN)
        .saturating_add(ON_THE_WAY);
    let longest = now.saturating_add(takes).unwrap_or(now);
    match (cause(notice), notice.deadline()) {
        (Some(Cause::Interruption), Some(deadline)) => deadline,
        (_, Some(deadline)) => longest.min(deadline),
        (_, None) => longest,
    }
}

/// The values of those parameters that the document declares.
fn parameters(
    notice: &Notice,
    wanted: &Wanted,
    declared: &BTreeSet<String>,
    now: Timestamp,
) -> BTreeMap<String, String> {
    let longest = now.saturating_add(wanted.takes).unwrap_or(now);
    let ends = match (cause(notice), notice.deadline()) {
        (Some(Cause::Interruption), Some(deadline)) => deadline,
        (_, deadline) => deadline.map_or(longest, |deadline| deadline.min(longest)),
    };
    let seconds = ends.duration_since(now).as_secs().max(0);
    let reason = match cause(notice) {
        Some(Cause::Interruption | Cause::StateChange) | None => "interruption",
        Some(Cause::Rebalance) => "rebalance",
        Some(Cause::Retirement) => "retirement",
        Some(Cause::Termination) => "termination",
        Some(Cause::Restart) => "restart",
    };
    let known = [
        ("InstanceId", notice.instance.to_string()),
        ("Deadline", ends.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
        ("Reason", reason.to_owned()),
        ("SecondsLeft", seconds.to_string()),
    ];
    known
        .into_iter()
        .filter(|(name, _)| declared.contains(*name))
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

fn cause(notice: &Notice) -> Option<Cause> {
    match &notice.signal {
        Signal::InterruptionWarning { .. } | Signal::StateChange { .. } => Some(Cause::Interruption),
        Signal::RebalanceRecommendation | Signal::Returned | Signal::ScheduledRestart(_) => None,
        Signal::ScheduledRetirement { .. } => Some(Cause::Retirement),
        Signal::TerminateLifecycleAction(_) => Some(Cause::Termination),
        Signal::FollowUp(follow_up) => Some(follow_up.cause),
    }
}

fn look(notice: &Notice, wanted: &Wanted, at: Timestamp) -> Action {
    let follow_up = FollowUp {
        cause: cause(notice).unwrap_or(Cause::Interruption),
        deadline: notice.deadline(),
        step: Step::Look {
            group: Some(wanted.group.clone()),
            registered: vec![],
            seen: vec![],
        },
    };
    send(notice, &wanted.document, at, follow_up)
}

fn send(notice: &Notice, document: &str, at: Timestamp, follow_up: FollowUp) -> Action {
    Action::Send {
        instance: notice.instance.clone(),
        document: document.to_owned(),
        at,
        follow_up,
    }
}

/// Follows a command that is under way.
fn follow(notice: &Notice, wanted: &Wanted, command: &str, at: Timestamp, now: Timestamp) -> Action {
    let command = command.to_owned();
    let until = waits_until(notice, wanted, now);
    let follow_up = await_script(notice, &wanted.group, command, &wanted.document, now, until);
    send(notice, &wanted.document, at, follow_up)
}

/// The message for following a command.
pub fn await_script(
    notice: &Notice,
    group: &str,
    command: String,
    document: &str,
    sent: Timestamp,
    until: Timestamp,
) -> FollowUp {
    FollowUp {
        cause: cause(notice).unwrap_or(Cause::Interruption),
        deadline: notice.deadline(),
        step: Step::AwaitScript {
            group: group.to_owned(),
            command,
            document: document.to_owned(),
            sent,
            until,
        },
    }
}

/// When to look first at a command that was just sent.
pub fn first_look(sent: Timestamp) -> Timestamp {
    sent.saturating_add(FOLLOW).unwrap_or(sent)
}

/// The state of a command: it is looked at until it has ended, or until nobody can wait any longer.
pub fn ended(notice: &Notice, follow_up: &FollowUp, facts: &Facts, now: Timestamp) -> Plan {
    let Step::AwaitScript {
        command,
        document,
        until,
        ..
    } = &follow_up.step
    else {
        return Plan::nothing(&notice.instance, Skip::NotForThisFunction);
    };
    if let Ok(items) = &facts.items
        && items
            .get(&notice.instance)
            .is_some_and(|found| found.item.stage == Stage::Over)
    {
        return Plan::nothing(&notice.instance, Skip::ToldBefore);
    }
    let is_late = now.saturating_add(EARLY).unwrap_or(now) >= *until;
    let run = match facts.runs.get(command) {
        Some(Ok(runs)) => runs.get(&notice.instance),
        Some(Err(error)) if !is_late => {
            return Plan {
                problems: vec![error.to_string()],
                ..Plan::default()
            };
        }
        Some(Err(_)) | None => None,
    };
    let mut plan = Plan::default();
    let ended = match run {
        Some(run) if run.state != State::UnderWay => Ended {
            instance: notice.instance.clone(),
            document: document.clone(),
            command: Some(command.clone()),
            status: run.status.clone(),
            saved: run.state == State::Success,
            exit_code: run.exit_code,
            output: run.output.clone(),
        },
        run if is_late => Ended {
            instance: notice.instance.clone(),
            document: document.clone(),
            command: Some(command.clone()),
            status: NO_END.to_owned(),
            saved: false,
            exit_code: None,
            output: run.map(|run| run.status.clone()).unwrap_or_default(),
        },
        _ => {
            let soon = now.saturating_add(FOLLOW).unwrap_or(now);
            let at = soon.min(*until);
            plan.actions.push(send(notice, document, at, follow_up.clone()));
            return plan;
        }
    };
    plan.actions.push(Action::End(ended));
    plan
}

/// The item of a script.
pub fn item(instance: &InstanceId, document: &str, stage: Stage, now: Timestamp) -> StopScript {
    StopScript {
        instance: instance.clone(),
        document: document.to_owned(),
        stage,
        written: now,
    }
}

#[cfg(test)]
mod tests;
