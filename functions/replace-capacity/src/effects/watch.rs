//! The watch over groups: its messages, and its items in the table.

use spot_handoff::lambda::outbox;
use spot_handoff::notice::{FollowUp, Notice};
use spot_handoff::runtime::aws::CallError;
use spot_handoff::state::group_watch::GroupWatch;
use spot_handoff::state::{Expected, Written};

use super::Aws;
use jiff::Timestamp;

/// A message to this function itself: the notice, the step, and when it comes.
pub type Look<'a> = (&'a Notice, &'a FollowUp, Timestamp);

/// Sends looks. Looks for the same second share a message. Returns the results in their order.
pub async fn send(aws: Aws<'_>, looks: &[Look<'_>]) -> Vec<Result<(), CallError>> {
    outbox::send_together(&aws.clients.sqs, aws.invocation, &aws.queues.own, looks).await
}

/// Writes how a group stands.
///
/// # Errors
/// See [`CallError`]; a conflict is not an error.
pub async fn write(aws: Aws<'_>, item: &GroupWatch, known: Option<u64>) -> Result<Written, CallError> {
    let expected = known.map_or(Expected::Nothing, Expected::Version);
    let invocation = aws.invocation.briefly();
    aws.clients.table.write(&invocation, item, expected).await
}
