//! Reads what the functions, and this one in an earlier try, have reported about these notices, from the table.

use jiff::Timestamp;
use spot_handoff::notice::{FollowUp, Notice, Signal, Step};
use spot_handoff::report::Report;
use spot_handoff::runtime::aws::CallError;
use spot_handoff::runtime::invocation::{Invocation, together};
use spot_handoff::state::Table;
use spot_handoff::state::ends::InstanceEnd;
use spot_handoff::state::group_watch::{GroupWatch, Standing};
use spot_handoff::state::hand_offs::Reported;

/// A function, and its log group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reporter {
    /// The function.
    pub function: &'static str,
    /// Its log group.
    pub log_group: String,
}

/// run-commands does not report an instance whose group has no stop script.
pub const RUN_COMMANDS: &str = "run-commands";

/// What the table has about one notice.
#[derive(Debug, Clone, Default)]
pub struct Told {
    /// All reports about it, ordered by time.
    pub reports: Vec<Report>,
    /// How the group of the instance stands, if it is watched because of this notice.
    pub standing: Option<Standing>,
    /// Whether launches of the group fail.
    pub launches_fail: bool,
    /// When the instance ended, if the notice asks for this and it is known.
    pub ended: Option<Timestamp>,
}

/// What the table has, or why it could not be read.
pub type Reports = Result<Told, CallError>;

/// Reads what the table has about each notice. Returns the results in the order of the notices.
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

/// When the instance ended, if the notice asks for this.
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

/// The watch over a group. If it cannot be read, nothing is announced about the group.
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
