//! How much of this machine's processor a storm used.

use std::time::Duration;

/// The kernel counts in hundredths of a second for whoever reads it from `/proc`.
const TICK: Duration = Duration::from_millis(10);

/// Processor time of all processes that this one started and that have ended; `None` where there is no `/proc`.
pub fn of_ended_children() -> Option<Duration> {
    parse(&std::fs::read_to_string("/proc/self/stat").ok()?)
}

/// The fields `cutime` and `cstime`, which are the 16th and 17th; the second is a name in parentheses.
fn parse(stat: &str) -> Option<Duration> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(13);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    Some(TICK * (user + system))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_of_children_are_found_behind_any_name() {
        let stat = "12 (a b) c) S 1 1 1 0 -1 0 0 0 0 0 5 6 150 50 20 0 1 0";
        assert_eq!(parse(stat), Some(Duration::from_secs(2)));
    }
}
