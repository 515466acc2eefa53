//! A detached instance belongs to no group any more. If EC2 reports no end of it, somebody has to terminate it.

use jiff::{SignedDuration, Timestamp};
use spot_handoff::notice::{InstanceAction, Notice, Step};
use spot_handoff::report::{ActionKind, ActionResult, Report};

use super::watch::Subject;
use super::{Action, Announcements, Message, Outcome, Plan, Reports, Skip, for_mail};

/// How long after the instance should have ended its event may still come.
const ENDS_WITHIN: SignedDuration = SignedDuration::from_mins(10);

/// Looks for the instance's end, if replace-capacity took it out of its group and EC2 should terminate it.
pub fn look(notice: &Notice, subject: &Subject, reports: &[Report]) -> Option<Action> {
    let action = subject
        .action
        .filter(|action| *action == InstanceAction::Terminate)?;
    let mut lines = reports.iter().flat_map(|report| &report.actions);
    let was_detached = lines.any(|line| {
        line.action == ActionKind::DetachInstance
            && matches!(line.result, ActionResult::Done | ActionResult::AlreadyDone)
    });
    was_detached.then(|| Action::Await {
        instance: notice.instance.to_string(),
        at: due(notice, subject),
        follow_up: subject.look_again(Step::AwaitGone { action }),
    })
}

fn due(notice: &Notice, subject: &Subject) -> Timestamp {
    let over = subject.over_at(notice);
    over.saturating_add(ENDS_WITHIN).unwrap_or(over)
}

/// What to announce, now that its end should be known.
pub fn plan(
    notice: &Notice,
    subject: &Subject,
    reports: Option<&Reports>,
    announcements: Announcements,
    now: Timestamp,
) -> Plan {
    let mut plan = Plan::default();
    let told = match reports {
        Some(Ok(told)) => told,
        Some(Err(error)) => {
            plan.problems.push(error.to_string());
            return plan;
        }
        None => return plan,
    };
    let has_ended = told.ended.is_some_and(|at| at >= notice.time);
    if has_ended {
        return Plan::nothing(&notice.instance, Skip::Ended);
    }
    let due = due(notice, subject);
    if now < due {
        // A message can be delayed for a quarter of an hour at most.
        plan.actions.extend(look(notice, subject, &told.reports));
        return plan;
    }
    let group = told.reports.iter().rev().find_map(|report| report.group.clone());
    match announcements {
        Announcements::None => plan.skip(&notice.instance, Skip::LeftOut),
        Announcements::All | Announcements::Failures => {
            plan.actions
                .push(Action::Publish(message(notice, subject, group.as_deref())));
        }
    }
    plan
}

fn message(notice: &Notice, subject: &Subject, group: Option<&str>) -> Message {
    let instance = &notice.instance;
    let is_drill = notice.drill.is_some();
    let drill = if is_drill { "Drill: " } else { "" };
    let of_group = group
        .map(|group| format!(", which left {group}"))
        .unwrap_or_default();
    let end = match (is_drill, subject.deadline) {
        (true, _) => "It was a drill: AWS does not take the instance.".to_owned(),
        (false, Some(deadline)) => format!("AWS was to terminate it at {deadline}."),
        (false, None) => "AWS was to terminate it at once.".to_owned(),
    };
    Message {
        instance: instance.to_string(),
        group: group.map(str::to_owned),
        subject: for_mail(&format!("{drill}RUNS ON: {instance}{of_group}")),
        text: format!(
            "Instance  {instance}{of_group}\n\
             Warning   {}, event {}\n\n\
             {end} Ten minutes later EC2 has still not reported its end. So it may run on, in no group,\n\
             and cost money.\n\n\
             What to do next\n  \
             See whether it runs:\n    \
             aws ec2 describe-instances --instance-ids {instance} --query 'Reservations[].Instances[].State.Name'\n  \
             Terminate it if it runs and nobody needs it:\n    \
             aws ec2 terminate-instances --instance-ids {instance}\n",
            notice.time, notice.event_id
        ),
        outcome: Outcome::Failed,
        drill: is_drill,
        runs_on: true,
    }
}
