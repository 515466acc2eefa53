//! The message: what a tired person has to know, from top to bottom.

use std::fmt::Write;

use spot_handoff::notice::{InstanceAction, Signal};
use spot_handoff::state::group_watch::Standing;

use super::account::{End, HandOff, Part, State};
use super::{Message, Outcome};
use crate::facts::RUN_COMMANDS;

/// SNS takes subjects of up to 100 ASCII characters without control characters.
/// <https://docs.aws.amazon.com/sns/latest/api/API_Publish.html>
const SUBJECT: usize = 100;
/// The longest word for a result. It sets the width of the column.
const WORD: usize = "NOT POSSIBLE".len();

/// The message about a hand-off.
pub fn message(hand_off: &HandOff<'_>) -> Message {
    Message {
        instance: hand_off.notice.instance.to_string(),
        group: hand_off.group.clone(),
        subject: subject(hand_off),
        text: text(hand_off),
        outcome: hand_off.outcome,
        drill: hand_off.notice.drill.is_some(),
        runs_on: false,
    }
}

fn subject(hand_off: &HandOff<'_>) -> String {
    let mut subject = String::new();
    if hand_off.notice.drill.is_some() {
        subject.push_str("Drill: ");
    }
    if hand_off.dry_run {
        subject.push_str("Dry run: ");
    }
    subject.push_str(match hand_off.outcome {
        Outcome::Failed => "FAILED: ",
        Outcome::HandedOff => "Handed off: ",
        Outcome::WithLosses => "Handed off with losses: ",
        Outcome::StillShort => "STILL SHORT: ",
        Outcome::CalledOff => "Called off: ",
        Outcome::Planned | Outcome::NothingToDo => "",
    });
    subject.push_str(hand_off.notice.instance.as_str());
    if let Some(group) = &hand_off.group {
        let _ = write!(subject, " in {group}");
    }
    if hand_off.signal != Signal::INTERRUPTION_WARNING {
        let _ = write!(subject, " ({})", hand_off.signal.replace('-', " "));
    }
    let parts = hand_off.parts.iter().filter(|part| part.state.is_bad());
    let parts = parts.map(|part| format!("{} {}", part.function, part.state));
    let ended = hand_off.ended.in_words().map(str::to_owned);
    let bad: Vec<_> = parts.chain(ended).collect();
    if !bad.is_empty() {
        let _ = write!(subject, ": {}", bad.join(", "));
    } else if hand_off.outcome == Outcome::Planned {
        subject.push_str(" would be handed off");
    } else if let (Outcome::WithLosses, Some(loss)) = (hand_off.outcome, hand_off.losses.first()) {
        let _ = write!(subject, ": {loss}");
    } else if hand_off.outcome == Outcome::StillShort {
        subject.push_str(": its group lacks instances");
    } else if let Some(left) = hand_off.seconds_left {
        let _ = write!(subject, ", {left:.1} s left");
    }
    for_mail(&subject)
}

/// A subject that SNS takes. Names of groups may have any character, and may be long.
pub fn for_mail(subject: &str) -> String {
    let mut subject: String = subject
        .chars()
        .map(|c| if matches!(c, ' '..='~') { c } else { '?' })
        .collect();
    if subject.len() > SUBJECT {
        subject.truncate(SUBJECT - 3);
        subject.push_str("...");
    }
    subject
}

fn text(hand_off: &HandOff<'_>) -> String {
    let notice = hand_off.notice;
    let fate = match hand_off.action {
        Some(InstanceAction::Stop) => "stops",
        Some(InstanceAction::Hibernate) => "hibernates",
        Some(InstanceAction::Terminate) | None => "terminates",
    };
    let mut text = String::new();
    let mut fact = |name: &str, value: String| {
        let _ = writeln!(text, "{name:<10}{value}");
    };
    fact("Instance", notice.instance.to_string());
    fact(
        "Group",
        hand_off.group.clone().unwrap_or_else(|| "not known".to_owned()),
    );
    let is_interrupted = hand_off.signal == Signal::INTERRUPTION_WARNING;
    if !is_interrupted {
        fact("Signal", hand_off.signal.replace('-', " "));
    }
    let name = if is_interrupted { "Warning" } else { "Notice" };
    fact(name, format!("{}, event {}", notice.time, notice.event_id));
    if notice.drill.is_some() {
        fact("Drill", "AWS does not take the instance".to_owned());
    } else if is_interrupted {
        let when = hand_off
            .deadline
            .map_or_else(|| "at once".to_owned(), |deadline| format!("at {deadline}"));
        fact("AWS", format!("{fate} it {when}"));
    }
    if hand_off.dry_run {
        fact("Dry run", "nothing was changed".to_owned());
    }
    if let Some(left) = hand_off.seconds_left {
        fact("Left", format!("{left:.1} s when the last function reported"));
    }
    let work = work(hand_off);
    if !work.is_empty() {
        text.push_str("\nWhat became of the work\n");
        for sentence in work {
            let _ = writeln!(text, "  {sentence}");
        }
    }
    for part in &hand_off.parts {
        let left = part
            .seconds_left
            .map(|left| format!(", {left:.1} s left"))
            .unwrap_or_default();
        let _ = writeln!(text, "\n{}: {}{left}", part.function, part.state);
        for line in &part.lines {
            let _ = writeln!(text, "  {:<WORD$}  {}", line.result.to_string(), line.text);
        }
    }
    text.push_str("\nWhat to do next\n");
    for step in next_steps(hand_off) {
        let _ = writeln!(text, "  {step}");
    }
    text
}

/// What became of the work, one sentence each. What was lost comes first.
pub fn work(hand_off: &HandOff<'_>) -> Vec<String> {
    let lost = hand_off.losses.iter().map(|loss| format!("LOST: {loss}"));
    let group = hand_off.standing.as_ref().map(|standing| {
        let group = hand_off.group.as_deref().unwrap_or("its group");
        format!("{group} {standing}")
    });
    let ended = hand_off.ended.in_words().map(str::to_owned);
    lost.chain(ended)
        .chain(hand_off.kept.sentences())
        .chain(group)
        .collect()
}

/// What a person should do now.
pub fn next_steps(hand_off: &HandOff<'_>) -> Vec<String> {
    let bad: Vec<_> = hand_off.parts.iter().filter(|part| part.state.is_bad()).collect();
    if bad.is_empty() && (hand_off.outcome.is_bad() || hand_off.ended != End::AsMeant) {
        return steps_after_losses(hand_off);
    }
    if bad.is_empty() {
        return vec![match (hand_off.dry_run, hand_off.notice.drill.is_some()) {
            (true, true) => "Nothing.".to_owned(),
            (true, false) => "Nothing: deploy with DryRun=false when the plan is what you want.".to_owned(),
            (false, true) => {
                format!(
                    "Terminate {} when the drill is over: AWS does not.",
                    hand_off.notice.instance
                )
            }
            (false, false) => "Nothing.".to_owned(),
        }];
    }
    let mut steps = vec![];
    if hand_off.notice.drill.is_some() {
        let instance = &hand_off.notice.instance;
        steps.push(match hand_off.dry_run {
            true => format!("This was a drill that only planned: AWS does not take {instance}, and nothing was changed."),
            false => format!(
                "This was a drill: AWS does not take {instance}. If it left its group, terminate it when the drill is over."
            ),
        });
    }
    steps.extend(bad.iter().flat_map(|part| steps_for(part, hand_off)));
    steps.push("The runbook, docs/runbook.md, has a page for each alarm.".to_owned());
    steps
}

fn steps_after_losses(hand_off: &HandOff<'_>) -> Vec<String> {
    let mut steps = vec![];
    if !hand_off.losses.is_empty() {
        steps.push(format!(
            "Check what was lost with {}: `cargo handoff timeline --instance {0}` shows the looks and the tasks.",
            hand_off.notice.instance
        ));
    }
    match (hand_off.ended, &hand_off.group) {
        (End::InVain, Some(group)) => steps.push(format!(
            "Look at the scaling activities of {group}, at the health checks of its target groups and at the ECS agent."
        )),
        (End::Unknown, _) => steps.push("Look at `cargo handoff exchange list` and at `cargo handoff dlq list`.".to_owned()),
        _ => {}
    }
    match &hand_off.standing {
        Some(Standing::Short { advice, .. }) => steps.push(advice.clone()),
        Some(Standing::Looking { .. }) => {
            steps.push(
                "Nothing for the group yet: it is watched, and a last event says how that ends.".to_owned(),
            );
        }
        _ => {}
    }
    steps.push("The runbook, docs/runbook.md, has a page for each alarm.".to_owned());
    steps
}

fn steps_for(part: &Part<'_>, hand_off: &HandOff<'_>) -> [String; 2] {
    let function = part.function;
    let why = match part.state {
        State::NotReported => format!(
            "{function} did not report: look at its alarms, at `cargo handoff dlq list` and at the log group {}.",
            part.log_group
        ),
        State::NotFinished => format!(
            "{function} announced a later step that was not reported: look at its queue and at the log group {}.",
            part.log_group
        ),
        _ => format!(
            "{function} failed: the errors are above, and more in the log group {}.",
            part.log_group
        ),
    };
    let instance = &hand_off.notice.instance;
    let check = match (function, &hand_off.group) {
        ("deregister-targets", _) => {
            format!("Check that no target group still sends requests to {instance}.")
        }
        (RUN_COMMANDS, _) => {
            "Check what its stop script saved, and in `aws ssm list-command-invocations --details` what it wrote."
                .to_owned()
        }
        ("drain-tasks", _) => {
            "Check that the services have their desired tasks again, and what became of standalone tasks."
                .to_owned()
        }
        (_, Some(group)) => format!("Check that {group} has its desired capacity."),
        (_, None) => "Check that its Auto Scaling group has its desired capacity.".to_owned(),
    };
    [why, check]
}
