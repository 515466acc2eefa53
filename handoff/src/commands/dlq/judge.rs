//! Whether it makes sense to try a message again. This module makes no AWS calls.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use spot_handoff::lambda::ANNOUNCER;
use spot_handoff::notice::{Cause, FollowUp, NOTICE, Notice, Signal, Step, Then};

use super::letter::Letter;
use crate::words::span;

/// A hook waits for 48 hours at most.
/// <https://docs.aws.amazon.com/autoscaling/ec2/userguide/lifecycle-hooks-overview.html>
const LONGEST_HOOK: SignedDuration = SignedDuration::from_hours(48);
/// How long after its deadline drain-tasks still tries to run a stopped task again.
const RUN_AGAIN: SignedDuration = SignedDuration::from_mins(3);
/// How long the table keeps what a re-run needs.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(15 * 24);

/// Whether it makes sense to try a message again, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    sensible: bool,
    why: String,
}

impl Judgement {
    fn yes(why: impl Into<String>) -> Self {
        Self {
            sensible: true,
            why: why.into(),
        }
    }

    fn no(why: impl Into<String>) -> Self {
        Self {
            sensible: false,
            why: why.into(),
        }
    }

    /// Whether it makes sense.
    pub fn is_sensible(&self) -> bool {
        self.sensible
    }
}

impl fmt::Display for Judgement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

/// Judges a message by its content and its age.
pub fn judge(letter: &Letter, now: Timestamp) -> Judgement {
    if letter.source.is_empty() {
        let function = &letter.function;
        return Judgement::no(format!("it was for {function}, which is no queue of this stack"));
    }
    match letter.read(now) {
        Err(problem) => Judgement::no(format!("it would fail again: {problem}")),
        // This function only announces what happened, at any age.
        Ok(_) if letter.function == ANNOUNCER => Judgement::yes("how it went can still be told"),
        // Its looks have no earlier end.
        Ok(notices) if letter.function == "replace-capacity" && notices.iter().any(is_look) => {
            Judgement::yes("it lowers again what was raised for an instance whose target had to stay")
        }
        Ok(notices) => match notices.first() {
            Some(notice) => of_notice(notice, now),
            None => Judgement::no("it names no instance"),
        },
    }
}

fn is_look(notice: &Notice) -> bool {
    matches!(&notice.signal, Signal::FollowUp(follow_up) if matches!(follow_up.step, Step::Look { .. }))
}

fn of_notice(notice: &Notice, now: Timestamp) -> Judgement {
    let age = now.duration_since(notice.time);
    match &notice.signal {
        Signal::InterruptionWarning { .. } if age <= NOTICE => {
            let left = (NOTICE - age).as_secs();
            Judgement::yes(format!("{left} s of the notice left"))
        }
        Signal::InterruptionWarning { .. } if notice.drill.is_some() => {
            Judgement::no(format!("the drill was over {} ago", span(age - NOTICE)))
        }
        Signal::InterruptionWarning { .. } => {
            Judgement::no(format!("AWS took the instance {} ago", span(age - NOTICE)))
        }
        Signal::StateChange { .. } if age <= NOTICE => {
            Judgement::yes("the instance may still be shutting down")
        }
        Signal::StateChange { .. } if notice.drill.is_some() => Judgement::no("the drill is over"),
        Signal::Returned if notice.is_stale(now) => {
            Judgement::no("what it got back is only looked at within minutes")
        }
        Signal::Returned => Judgement::yes("what was taken from it can still be given back"),
        Signal::StateChange { .. } => Judgement::no("the instance is gone by now"),
        Signal::RebalanceRecommendation if notice.is_stale(now) => Judgement::no(format!(
            "the recommendation is {} old, and is only reported",
            span(age)
        )),
        Signal::RebalanceRecommendation => Judgement::yes("the instance may still be at risk"),
        Signal::TerminateLifecycleAction(_) if age < LONGEST_HOOK => {
            Judgement::yes("the hook may still wait; if the action is over, nothing changes")
        }
        Signal::TerminateLifecycleAction(_) => Judgement::no("no hook waits for more than 48 hours"),
        Signal::ScheduledRetirement { starts } if *starts > now => {
            let left = span(starts.duration_since(now));
            Judgement::yes(format!("AWS retires the instance in {left}"))
        }
        Signal::ScheduledRetirement { .. } => Judgement::no("AWS has retired the instance"),
        Signal::ScheduledRestart(_) => {
            Judgement::yes("what it says of the restart still counts, unless later news came")
        }
        Signal::FollowUp(follow_up) => of_follow_up(follow_up, now),
    }
}

fn of_follow_up(follow_up: &FollowUp, now: Timestamp) -> Judgement {
    let late = follow_up.deadline.map(|deadline| now.duration_since(deadline));
    match (&follow_up.step, late) {
        (Step::StopTasks { .. }, Some(late)) if late > REMEMBERED => {
            Judgement::no(format!("the time of these tasks was over {} ago", span(late)))
        }
        (Step::StopTasks { .. }, Some(late)) if late > RUN_AGAIN => {
            Judgement::yes("its tasks are over; those that asked for it and do not run yet are run again")
        }
        (Step::Look { .. } | Step::AwaitScript { .. } | Step::WatchGroup { .. }, Some(late))
            if late.is_positive() =>
        {
            Judgement::no(format!("the time for looking was over {} ago", span(late)))
        }
        (Step::Look { .. }, _) => {
            Judgement::yes("it looks for what came back, came late, or may leave by now")
        }
        (Step::WatchGroup { .. }, _) => Judgement::yes("it looks whether the group is whole again"),
        (Step::AwaitScript { .. }, _) => Judgement::yes("it tells how the stop script ended"),
        (Step::AwaitRestart { .. }, _) => {
            Judgement::yes("it looks whether the restart is near, or over, unless another look does")
        }
        (Step::StepAside { .. }, Some(late)) if late.is_positive() => {
            Judgement::no(format!("AWS was to restart the instance {} ago", span(late)))
        }
        (Step::StepAside { .. }, _) => Judgement::yes("the instance can still be drained before its restart"),
        (Step::StepBack, _) => Judgement::yes("what was taken from the instance is given back"),
        (Step::Tell, _) => Judgement::yes("what has gathered is published, unless it was published since"),
        (Step::SeeEnds { .. }, _) => Judgement::yes("what became of its tasks can still be told"),
        (Step::AwaitStart { .. }, Some(late)) if late.is_positive() => Judgement::no(format!(
            "the instance went {} ago: announcing its beginning helps nobody",
            span(late)
        )),
        (Step::AwaitStart { .. }, _) => Judgement::yes("others can still be told that it has begun"),
        (Step::AwaitEnd { .. } | Step::AwaitWhole { .. }, _) => {
            Judgement::yes("how it went can still be told")
        }
        (Step::AwaitGone { .. }, _) => Judgement::yes("an instance that still runs can still be announced"),
        (Step::StopTasks { .. }, _) => Judgement::yes("its tasks may still be stopped, and run again"),
        (
            Step::AwaitTasks {
                then: Then::CompleteLifecycleAction(_),
                ..
            },
            Some(late),
        ) if late.is_positive() => Judgement::no(format!("the hook's limit was over {} ago", span(late))),
        (
            Step::AwaitTasks {
                then: Then::CompleteLifecycleAction(_),
                ..
            },
            _,
        ) => Judgement::yes("the hook may still wait for it"),
        (
            Step::MoveWork { .. }
            | Step::AwaitTasks { .. }
            | Step::AwaitReplacement { .. }
            | Step::GiveUp { .. }
            | Step::Retire { .. },
            _,
        ) => {
            let what = match follow_up.cause {
                Cause::Retirement => "a retirement's exchange",
                _ => "an exchange",
            };
            Judgement::yes(format!("it ends {what}, which is half done until then"))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const SENT: &str = "2026-11-24T04:00:00Z";

    fn judged(kind: &str, detail: Value, seconds: i64) -> Judgement {
        let source = if kind == "Spot Handoff Follow-up" {
            "spot-handoff"
        } else {
            "spot-handoff.drill"
        };
        let body = json!({"id": "e", "source": source, "detail-type": kind, "time": SENT, "detail": detail});
        judge(&letter(&body.to_string()), at(seconds))
    }

    fn at(seconds: i64) -> Timestamp {
        let sent: Timestamp = SENT.parse().unwrap();
        sent + SignedDuration::from_secs(seconds)
    }

    fn letter(body: &str) -> Letter {
        Letter {
            id: "7bf73129".to_owned(),
            function: "drain-tasks".to_owned(),
            source: "q".to_owned(),
            queue: "d".to_owned(),
            receipt: "r".to_owned(),
            sent: at(0),
            body: body.to_owned(),
            undelivered: None,
        }
    }

    #[test]
    fn what_makes_sense_depends_on_the_signal_and_its_age() {
        let instance = json!({"instance-id": "i-1234567890abcdef0"});
        let with = |more: Value| {
            let mut detail = instance.clone();
            detail
                .as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            detail
        };
        let warning = with(json!({"instance-action": "terminate"}));
        let stopping = with(json!({"state": "shutting-down"}));
        let hook = json!({"EC2InstanceId": "i-1234567890abcdef0", "AutoScalingGroupName": "g",
            "LifecycleHookName": "h", "LifecycleActionToken": "t"});
        let retirement = json!({"service": "EC2", "eventTypeCategory": "scheduledChange",
            "eventTypeCode": "AWS_EC2_INSTANCE_RETIREMENT_SCHEDULED",
            "startTime": "Tue, 01 Dec 2026 04:00:00 GMT",
            "affectedEntities": [{"entityValue": "i-1234567890abcdef0"}]});
        let step = |step: Value| {
            let mut detail = with(json!({"cause": "rebalance", "deadline": at(900)}));
            detail
                .as_object_mut()
                .unwrap()
                .extend(step.as_object().unwrap().clone());
            detail
        };
        let stop =
            step(json!({"step": "stop-tasks", "cluster": "c", "container-instance": "ci", "tasks": ["t"]}));
        let retire = step(json!({"step": "retire", "group": "g"}));
        let complete = step(json!({"step": "await-tasks",
            "then": {"complete-lifecycle-action": {"group": "g", "hook": "h", "token": "t"}}}));

        let interruption = "EC2 Spot Instance Interruption Warning";
        let follow_up = "Spot Handoff Follow-up";
        let day = 86_400;
        for (kind, detail, seconds, sensible) in [
            (interruption, &warning, 60, true),
            (interruption, &warning, 120, true),
            (interruption, &warning, 121, false),
            ("EC2 Instance State-change Notification", &stopping, 60, true),
            ("EC2 Instance State-change Notification", &stopping, 180, false),
            ("EC2 Instance Rebalance Recommendation", &instance, 1700, true),
            ("EC2 Instance Rebalance Recommendation", &instance, 1900, false),
            ("EC2 Instance-terminate Lifecycle Action", &hook, day, true),
            ("EC2 Instance-terminate Lifecycle Action", &hook, 2 * day, false),
            ("AWS Health Event", &retirement, 6 * day, true),
            ("AWS Health Event", &retirement, 8 * day, false),
            (follow_up, &stop, 1000, true),
            (follow_up, &stop, 1200, true),
            (follow_up, &stop, 1_300_000, false),
            (follow_up, &complete, 800, true),
            (follow_up, &complete, 1000, false),
            (follow_up, &retire, 10 * day, true),
            (interruption, &instance, 10, false),
        ] {
            let judgement = judged(kind, detail.clone(), seconds);
            assert_eq!(
                judgement.is_sensible(),
                sensible,
                "{kind} after {seconds} s: {judgement}"
            );
        }
    }

    #[test]
    fn what_was_raised_is_lowered_at_any_age() {
        let look = json!({"id": "e", "source": "spot-handoff", "time": SENT, "detail-type": "Spot Handoff Follow-up",
            "detail": {"instance-id": "i-1234567890abcdef0", "cause": "interruption", "deadline": at(120),
                "step": "look", "group": "g"}});
        let of = |function: &str| {
            let function = function.to_owned();
            let letter = Letter {
                function,
                ..letter(&look.to_string())
            };
            judge(&letter, at(86_400)).is_sensible()
        };
        assert!(of("replace-capacity"));
        assert!(!of("deregister-targets"));
    }

    #[test]
    fn telling_has_no_age() {
        let warning = json!({"id": "e", "source": "aws.ec2", "time": SENT,
            "detail-type": "EC2 Spot Instance Interruption Warning",
            "detail": {"instance-id": "i-1234567890abcdef0", "instance-action": "terminate"}});
        let of = |function: &str, body: &str| {
            let function = function.to_owned();
            judge(
                &Letter {
                    function,
                    ..letter(body)
                },
                at(86_400),
            )
            .is_sensible()
        };
        assert!(of(ANNOUNCER, &warning.to_string()));
        assert!(!of("drain-tasks", &warning.to_string()));
        assert!(!of(ANNOUNCER, "no JSON"));
    }

    #[test]
    fn a_drill_took_no_instance() {
        let warning = json!({"instance-id": "i-1234567890abcdef0", "instance-action": "terminate"});
        let judgement = judged("EC2 Spot Instance Interruption Warning", warning, 240);
        assert_eq!(judgement.to_string(), "the drill was over 2 min ago");
    }

    #[test]
    fn what_was_for_somebody_else_has_no_way_back() {
        let source = String::new();
        let function = "other-queue".to_owned();
        let judgement = judge(
            &Letter {
                source,
                function,
                ..letter("")
            },
            at(0),
        );
        assert_eq!(
            judgement.to_string(),
            "it was for other-queue, which is no queue of this stack"
        );
        assert!(!judgement.is_sensible());
    }

    #[test]
    fn what_cannot_be_read_says_which_field() {
        let judgement = judged("EC2 Spot Instance Interruption Warning", json!({}), 10);
        assert_eq!(
            judgement.to_string(),
            "it would fail again: field `detail.instance-id`: missing"
        );
        let judgement = judge(&letter("no JSON"), at(0));
        assert!(
            judgement
                .to_string()
                .starts_with("it would fail again: the message is not JSON")
        );
    }
}
