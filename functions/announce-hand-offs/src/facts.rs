//! What the functions, and this one in an earlier try, have reported about these notices: read from the table.

use spot_handoff::notice::Notice;
use spot_handoff::report::Report;
use spot_handoff::runtime::aws::CallError;
use spot_handoff::runtime::invocation::{Invocation, together};
use spot_handoff::state::Table;
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

/// All reports about one notice, in the order of time.
pub type Reports = Result<Vec<Report>, CallError>;

/// Reads the reports about each notice; answers in the order of the notices.
pub async fn reports(table: &Table, invocation: &Invocation, notices: &[&Notice]) -> Vec<Reports> {
    let readings = notices.iter().map(|notice| async {
        let found = table
            .all_of::<Reported>(invocation, &Reported::of(notice), "")
            .await?;
        Ok(found.into_iter().map(|found| found.item.0).collect())
    });
    together(readings).await
}
