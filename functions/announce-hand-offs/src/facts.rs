//! What the functions, and this one in an earlier try, have reported about these notices: read from the table.

use jiff::Timestamp;
use spot_handoff::notice::{FollowUp, Notice, Signal, Step};
use spot_handoff::report::Report;
use spot_handoff::runtime::aws::CallError;
use spot_handoff::runtime::invocation::{Invocation, together};
use spot_handoff::state::Table;
use spot_handoff::state::ends::InstanceEnd;
use spot_handoff::state::group_watch::{GroupWatch, Standing};
use spot_handoff::state::hand_offs::Reported;

/// A function, and where it writes its log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reporter {
    /// The function.
    pub function: &'static str,
    /// Its log group.
    pub log_group: String,
}

/// This one has no part in the hand-off of an instance whose group has no stop script, and says nothing of it.
pub const RUN_COMMANDS: &str = "run-commands";

/// What the table tells about one notice.
#[derive(Debug, Clone, Default)]
pub struct Told {
    /// All reports about it, in the order of time.
    pub reports: Vec<Report>,
    /// How the group of the instance stands, where it is watched for its sake.
    pub standing: Option<Standing>,
    /// Whether launches of the group fail.
    pub launches_fail: bool,
    /// When the instance ended, where it is asked and known.
    pub ended: Option<Timestamp>,
}

/// What the table tells, or why it does not.
pub type Reports = Result<Told, CallError>;

/// Reads what there is about each notice; answers in the order of the notices.
pub async fn reports(table: &Table, invocation: &Invocation, notices: &[&Notice]) -> Vec<Reports> {
    let readings = notices.iter().map(|notice| async {
        let found = table
            .all_of::<Reported>(invocation, &Reported::of(notice), "")
            .await?;
        let reports: Vec<Report> = found.into_iter().map(|found| found.item.0).collect();
        let watch = match reports.iter().find_map(|report| report.group.as_deref()) {
            Some(group) => watch_over(table, invocation, group).await,
            None => None,
        };
        let standing = watch.as_ref().and_then(|watch| {
            let standing = watch.standing_of(&notice.event_id, &notice.instance);
            standing.cloned()
        });
        Ok(Told {
            ended: end_of(table, invocation, notice).await?,
            reports,
            launches_fail: standing.is_some() && watch.is_some_and(|watch| watch.failing.is_some()),
            standing,
        })
    });
    together(readings).await
}

/// When the instance ended, where this is what the notice asks.
async fn end_of(
    table: &Table,
    invocation: &Invocation,
    notice: &Notice,
) -> Result<Option<Timestamp>, CallError> {
    let Signal::FollowUp(FollowUp {
        step: Step::AwaitGone { .. },
        ..
    }) = &notice.signal
    else {
        return Ok(None);
    };
    let key = InstanceEnd::key_of(&notice.instance);
    let found = table
        .all_of::<InstanceEnd>(invocation, &key.of, &key.what)
        .await?;
    Ok(found.first().map(|found| found.item.at))
}

/// The watch over a group. Without it nothing is told of how the group stands.
async fn watch_over(table: &Table, invocation: &Invocation, group: &str) -> Option<GroupWatch> {
    let key = GroupWatch::key_of(group);
    match table.all_of::<GroupWatch>(invocation, &key.of, &key.what).await {
        Ok(found) => found.into_iter().next().map(|found| found.item),
        Err(error) => {
            tracing::warn!("how {group} stands is not known: {error}");
            None
        }
    }
}
