//! Where a function runs, and whether an event is about that place.
//!
//! A bus can receive events of other accounts. If somebody forwards them, it also receives those of other regions, and
//! AWS Health sends some events to a backup region as well. Each account and region has its own stack, so such events
//! belong to another stack.
//! <https://docs.aws.amazon.com/health/latest/ug/choosing-a-region.html>

use super::{Event, NoticeError, scheduled_change};

/// The account and the region of a function. What is not known is not compared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Home {
    /// Id of the account.
    pub account: Option<String>,
    /// Name of the region.
    pub region: Option<String>,
}

impl Home {
    /// The place of a function with this ARN: `arn:PARTITION:lambda:REGION:ACCOUNT:function:NAME`.
    pub fn of_arn(arn: &str) -> Self {
        match arn.split(':').collect::<Vec<_>>().as_slice() {
            ["arn", _, "lambda", region, account, "function", ..] => Self {
                account: Some((*account).to_owned()),
                region: Some((*region).to_owned()),
            },
            _ => Self::default(),
        }
    }

    /// Where the event is from, if not from here. Follow-ups name no place: they never leave the stack.
    pub(super) fn why_foreign(&self, event: &Event) -> Result<Option<String>, NoticeError> {
        let of_health = scheduled_change::place(event)?;
        let accounts = [event.account.as_deref(), of_health.account.as_deref()];
        let regions = [event.region.as_deref(), of_health.region.as_deref()];
        let other = |found: [Option<&str>; 2], own: &Option<String>| {
            let own = own.as_deref()?;
            let foreign = found.into_iter().flatten().find(|found| *found != own);
            foreign.map(|found| format!("`{found}`, not `{own}`"))
        };
        let of_account = other(accounts, &self.account).map(|which| format!("of account {which}"));
        let of_region = other(regions, &self.region).map(|which| format!("of region {which}"));
        Ok(of_account.or(of_region))
    }
}
