//! Watches a bed and prints what happens, until nothing more will happen or the time is over.

use std::time::Duration;

use anyhow::Result;
use jiff::SignedDuration;
use testbed::{Backlog, Event, Testbed};
use tokio::time::timeout;

use super::teller::Teller;
use super::{Output, Zero};

/// How often to look at the queues.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// How much longer to watch work under way: long enough for all tries of a message.
const GRACE: SignedDuration = SignedDuration::from_secs(120);

/// Prints the journal from entry `shown` on, until all is done or `watch_seconds` of the world have passed. Returns
/// what was left.
pub async fn follow(
    bed: &Testbed,
    output: &Output,
    zero: Zero,
    watch_seconds: i64,
    mut shown: usize,
) -> Result<Option<Backlog>> {
    let mut quiet_at = None;
    let mut teller = Teller::default();
    // Whether anything was printed since the last line about waiting.
    let mut news = false;
    loop {
        let _ = timeout(LOOK_AGAIN, bed.journal().beyond(shown)).await;
        let backlog = bed.backlog().await?;
        for entry in bed.journal().since(shown) {
            shown += 1;
            if let Event::Report(report) = &entry.event {
                output.report(report);
            }
            teller.add(&entry);
        }
        if backlog.running == 0 {
            for line in teller.tell() {
                output.line(&line, zero);
                news = true;
            }
        }

        // The same result twice, since the queues cannot all be read at the same moment.
        if backlog.is_settled() && quiet_at == Some(shown) {
            teller.repeated().iter().for_each(|line| output.line(line, zero));
            return Ok(None);
        }
        quiet_at = backlog.is_settled().then_some(shown);

        let now = bed.world.clock().now();
        let passed = now.duration_since(zero);
        let over = passed >= SignedDuration::from_secs(watch_seconds);
        let long_over = passed >= SignedDuration::from_secs(watch_seconds) + GRACE;
        if over && backlog.is_idle() && !backlog.is_settled() || long_over {
            teller.repeated().iter().for_each(|line| output.line(line, zero));
            return Ok(Some(backlog));
        }
        if backlog.is_idle() && backlog.delayed > 0 && news {
            news = false;
            output.waiting(backlog.delayed, bed.world.clock(), zero);
        }
    }
}
