//! Hands off the notices of a batch: which ones the function acts on, which ones it only plans, and which ones it
//! leaves alone.

use std::collections::HashMap;

use jiff::Timestamp;
use tracing::Instrument;

use super::{Function, logging};
use crate::notice::Notice;
use crate::report::plan::{Action, Plan, Results};
use crate::report::{ActionKind, Report};
use crate::runtime::config::Drills;
use crate::runtime::invocation::Invocation;

/// What the function does with a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// It hands it off, or plans it if the function only plans.
    AsSet,
    /// It is a drill, which is only planned.
    PlannedOnly,
    /// It is a drill that asks to act, but the stack only plans drills.
    PlannedForWantOfLeave,
    /// It is a drill, and the stack takes none: report it and leave it alone.
    NotTaken,
    /// It is too old: report it and leave it alone.
    Stale,
}

impl Mode {
    /// An event cannot do more than `drills` allows.
    fn of<F: Function>(notice: &Notice, now: Timestamp, drills: Drills) -> Self {
        if F::is_stale(notice, now) {
            return Self::Stale;
        }
        match (notice.drill, drills) {
            (None, _) => Self::AsSet,
            (Some(_), Drills::Off) => Self::NotTaken,
            (Some(drill), _) if !drill.for_real => Self::PlannedOnly,
            (Some(_), Drills::Plan) => Self::PlannedForWantOfLeave,
            (Some(_), Drills::Real) => Self::AsSet,
        }
    }
}

/// Hands off the notices of a batch, each in its mode. If a notice is there twice, it is handed off once.
pub(super) async fn hand_off<F: Function>(
    function: &F,
    notices: &[Notice],
    drills: Drills,
    invocation: &Invocation,
) -> HashMap<Notice, Report> {
    let mut modes: HashMap<Notice, Mode> = HashMap::new();
    let mut in_order: Vec<&Notice> = vec![];
    for notice in notices {
        let mode = Mode::of::<F>(notice, invocation.started_at, drills);
        if modes.insert(notice.clone(), mode).is_none() {
            in_order.push(notice);
        }
    }
    let those = |wanted: &[Mode]| -> Vec<Notice> {
        let those = in_order.iter().filter(|notice| wanted.contains(&modes[**notice]));
        those.map(|notice| (*notice).clone()).collect()
    };
    let (as_set, planned) = (
        those(&[Mode::AsSet]),
        those(&[Mode::PlannedOnly, Mode::PlannedForWantOfLeave]),
    );
    let planning = invocation.planning_only();
    let (as_set, planned) = tokio::join!(
        hand_off_those(function, &as_set, invocation),
        hand_off_those(function, &planned, &planning),
    );
    let left_alone = in_order.iter().filter_map(|notice| match modes[*notice] {
        Mode::Stale => Some(left_alone(notice, invocation, too_old(notice, invocation))),
        Mode::NotTaken => Some(left_alone(notice, invocation, NO_DRILLS.to_owned())),
        Mode::AsSet | Mode::PlannedOnly | Mode::PlannedForWantOfLeave => None,
    });
    let mut reports: HashMap<Notice, Report> = HashMap::new();
    for mut report in as_set.into_iter().chain(planned).chain(left_alone) {
        // The report itself says to which notice it belongs, not its place in the list.
        let Some(notice) = report.about.take() else {
            continue;
        };
        if modes.get(&*notice) == Some(&Mode::PlannedForWantOfLeave) {
            report.warnings.push(ONLY_PLANNED.to_owned());
        }
        reports.insert(*notice, report);
    }
    reports
}

const NO_DRILLS: &str = "it is a drill, and the stack takes none: its parameter Drills is `off`";
const ONLY_PLANNED: &str =
    "the drill asks to act, and the stack only plans drills: its parameter Drills is `plan`";

async fn hand_off_those<F: Function>(
    function: &F,
    notices: &[Notice],
    invocation: &Invocation,
) -> Vec<Report> {
    match notices {
        [] => vec![],
        notices => {
            let handing_off = function.hand_off(notices, invocation);
            handing_off.instrument(logging::about(notices)).await
        }
    }
}

fn too_old(notice: &Notice, invocation: &Invocation) -> String {
    let minutes = invocation.started_at.duration_since(notice.time).as_mins();
    format!(
        "the notice is {minutes} minutes old and the id may belong to a restarted instance by now; \
         replay it with a fresh `time` to act on it all the same"
    )
}

fn left_alone(notice: &Notice, invocation: &Invocation, reason: String) -> Report {
    let plan = Plan::<NoAction, String, String>::nothing(&notice.instance, reason);
    invocation.report(notice, &plan, &Results::new())
}

/// A plan with these actions has none.
#[derive(Clone, PartialEq, Eq, Hash)]
enum NoAction {}

impl Action for NoAction {
    fn describe(&self) -> (ActionKind, String, String) {
        match *self {}
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use aws_types::SdkConfig;
    use serde_json::{Value, json};

    use super::*;
    use crate::lambda::envelope::Batch;
    use crate::notice::Home;
    use crate::report::Outcome;
    use crate::report::plan::Done;
    use crate::runtime::aws::CallCounter;
    use crate::runtime::clock::Clock;
    use crate::runtime::config::{ConfigError, Env};

    /// Records for each notice whether it was only planned.
    struct Recorder;

    #[derive(Clone, PartialEq, Eq, Hash)]
    struct Act;

    impl Action for Act {
        fn describe(&self) -> (ActionKind, String, String) {
            (ActionKind::Unknown, String::new(), String::new())
        }
    }

    impl Function for Recorder {
        const NAME: &'static str = "recorder";

        fn new(_: &Env, _: &SdkConfig, _: CallCounter) -> Result<Self, ConfigError> {
            Ok(Self)
        }

        async fn hand_off(&self, notices: &[Notice], invocation: &Invocation) -> Vec<Report> {
            let plan = Plan::<Act, String, String> {
                actions: vec![Act],
                ..Plan::default()
            };
            let mut results = Results::new();
            if !invocation.dry_run {
                results.insert(Act, Done::now(invocation.clock));
            }
            let report = |notice| invocation.report(notice, &plan, &results);
            notices.iter().map(report).collect()
        }
    }

    fn record(id: &str, source: &str, age_minutes: i64, for_real: bool) -> Value {
        let sent = Timestamp::now() - jiff::SignedDuration::from_mins(age_minutes);
        let event = json!({"id": id, "source": source, "time": sent,
            "detail-type": "EC2 Instance Rebalance Recommendation",
            "detail": {"instance-id": "i-1234567890abcdef0", "for-real": for_real}});
        json!({"messageId": id, "body": event.to_string()})
    }

    #[tokio::test]
    async fn each_notice_of_a_batch_is_handed_off_in_its_own_mode() {
        let drill = crate::notice::DRILL_SOURCE;
        let payload = json!({"Records": [
            record("real", "aws.ec2", 0, false),
            record("drill", drill, 0, false),
            record("old", "aws.ec2", 60, false),
            record("drill for real", drill, 0, true),
            record("real again", "aws.ec2", 0, false),
        ]});
        let notices = || {
            let batch = Batch::read(&payload.to_string(), &Home::default(), Timestamp::now());
            batch
                .notices()
                .into_iter()
                .map(|(_, notice)| notice)
                .collect::<Vec<_>>()
        };
        for (dry_run, drills, expected) in [
            (
                false,
                Drills::Real,
                [
                    ("real", Outcome::Done, false),
                    ("drill", Outcome::Planned, true),
                    ("old", Outcome::NothingToDo, false),
                    ("drill for real", Outcome::Done, true),
                    ("real again", Outcome::Done, false),
                ],
            ),
            // A function that only plans does nothing else, whatever a drill says.
            (
                true,
                Drills::Real,
                [
                    ("real", Outcome::Planned, false),
                    ("drill", Outcome::Planned, true),
                    ("old", Outcome::NothingToDo, false),
                    ("drill for real", Outcome::Planned, true),
                    ("real again", Outcome::Planned, false),
                ],
            ),
            // No event can do more than the stack allows drills.
            (
                false,
                Drills::Plan,
                [
                    ("real", Outcome::Done, false),
                    ("drill", Outcome::Planned, true),
                    ("old", Outcome::NothingToDo, false),
                    ("drill for real", Outcome::Planned, true),
                    ("real again", Outcome::Done, false),
                ],
            ),
            (
                false,
                Drills::Off,
                [
                    ("real", Outcome::Done, false),
                    ("drill", Outcome::NothingToDo, true),
                    ("old", Outcome::NothingToDo, false),
                    ("drill for real", Outcome::NothingToDo, true),
                    ("real again", Outcome::Done, false),
                ],
            ),
        ] {
            let invocation = Invocation::new("recorder", Clock::real(), dry_run, Duration::from_secs(15));
            let notices = notices();
            let reports = hand_off(&Recorder, &notices, drills, &invocation).await;
            assert_eq!(reports.len(), notices.len());
            let said: Vec<_> = notices
                .iter()
                .map(|notice| &reports[notice])
                .map(|report| (report.event_id.as_str(), report.outcome, report.drill))
                .collect();
            assert_eq!(said, expected, "DRY_RUN is {dry_run}, Drills is {drills:?}");
            let warned = reports.values().filter(|report| !report.warnings.is_empty());
            let warned: Vec<_> = warned.map(|report| report.event_id.as_str()).collect();
            let expected: &[&str] = match drills {
                Drills::Plan => &["drill for real"],
                Drills::Off | Drills::Real => &[],
            };
            assert_eq!(warned, expected);
        }
    }

    /// Reports about the first notice only.
    struct Forgetful;

    impl Function for Forgetful {
        const NAME: &'static str = "forgetful";

        fn new(_: &Env, _: &SdkConfig, _: CallCounter) -> Result<Self, ConfigError> {
            Ok(Self)
        }

        async fn hand_off(&self, notices: &[Notice], invocation: &Invocation) -> Vec<Report> {
            let plan = Plan::<Act, String, String>::default();
            let report = |notice| invocation.report(notice, &plan, &Results::new());
            notices.iter().take(1).map(report).collect()
        }
    }

    #[tokio::test]
    async fn a_report_belongs_to_its_notice_and_the_same_notice_has_one() {
        let payload = json!({"Records": [
            record("first", "aws.ec2", 0, false),
            record("second", "aws.ec2", 0, false),
        ]});
        let batch = Batch::read(&payload.to_string(), &Home::default(), Timestamp::now());
        let notices: Vec<Notice> = batch.notices().into_iter().map(|(_, notice)| notice).collect();
        let invocation = Invocation::new("forgetful", Clock::real(), false, Duration::from_secs(15));
        let reports = hand_off(&Forgetful, &notices, Drills::Plan, &invocation).await;
        assert!(reports.contains_key(&notices[0]) && !reports.contains_key(&notices[1]));
        let twice = [notices[1].clone(), notices[1].clone()];
        let reports = hand_off(&Recorder, &twice, Drills::Plan, &invocation).await;
        assert_eq!(reports.len(), 1);
    }
}
