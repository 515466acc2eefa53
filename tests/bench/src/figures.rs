//! What a storm did, as the AWS recorded it.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use fast_aws::{CallRecord, Fleet, Record, Write};

/// What one function did in a storm.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Figures {
    /// Seconds from the event to the end of the function's work on an instance, sorted. The end is the last
    /// deregistered target, `DRAINING`, or the instance leaving the group, which launches a replacement.
    pub seconds: Vec<f64>,
    /// Instances on which the work was not finished.
    pub unfinished: usize,
    /// Calls to AWS, retries and refusals included, without those that take messages from the function's own queue.
    pub calls: usize,
    /// Calls that take messages from the function's own queue and settle them, which Lambda makes for other functions.
    pub queue_calls: usize,
    /// Of these, refused because they were too many.
    pub throttled: usize,
    /// Calls without late stops: all of these calls and those of them that were throttled.
    pub without_stops: Calls,
    /// The calls by their action.
    pub by_action: BTreeMap<String, usize>,
    /// Sequential round trips before the function's first write.
    pub round_trips: usize,
    /// Messages that were received more than once.
    pub came_back: u64,
}

/// A number of calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Calls {
    /// All of them.
    pub made: usize,
    /// Those that were throttled.
    pub throttled: usize,
}

impl Calls {
    fn of<'a>(calls: impl Iterator<Item = &'a &'a CallRecord>) -> Self {
        calls.fold(Self::default(), |sum, call| Self {
            made: sum.made + 1,
            throttled: sum.throttled + usize::from(call.throttled),
        })
    }
}

/// What a function is for, seen from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// The targets of an instance are deregistered.
    Deregister,
    /// Its container instance drains.
    Drain,
    /// It has left its group, which launches a replacement.
    Replace,
}

/// The actions that change something a hand-off is about.
const WRITES: [&str; 6] = [
    "DeregisterTargets",
    "UpdateContainerInstancesState",
    "DetachInstances",
    "SetDesiredCapacity",
    "StopTask",
    "SendMessageBatch",
];

/// A late stop: one call for each task that ECS has not moved by then. How many there are says how much ECS has moved.
const STOP: &str = "StopTask";

/// The actions by which a function takes messages from its own queue.
const OF_THE_QUEUE: [&str; 3] = [
    "ReceiveMessage",
    "DeleteMessageBatch",
    "ChangeMessageVisibilityBatch",
];

impl Figures {
    /// The p-th percentile of the seconds, nearest rank.
    pub fn percentile(&self, p: f64) -> Option<f64> {
        let rank = (p / 100.0 * self.seconds.len() as f64).ceil() as usize;
        self.seconds.get(rank.saturating_sub(1)).copied()
    }

    /// Reads them from the record. `sent` is when the event about each instance was put on the bus.
    pub fn read(
        record: &Record,
        caller: &str,
        work: Work,
        fleet: &Fleet,
        sent: &HashMap<String, Instant>,
    ) -> Self {
        let (queue_calls, calls): (Vec<&CallRecord>, Vec<&CallRecord>) = record
            .calls
            .iter()
            .filter(|call| call.caller == caller)
            .partition(|call| OF_THE_QUEUE.contains(&call.action.as_str()));
        let mut by_action = BTreeMap::<String, usize>::new();
        for call in calls.iter().chain(&queue_calls) {
            *by_action.entry(call.action.clone()).or_default() += 1;
        }
        let ends = ends(record, work, fleet);
        let mut seconds: Vec<f64> = sent
            .iter()
            .filter_map(|(id, sent)| Some(ends.get(id)?.duration_since(*sent).as_secs_f64()))
            .collect();
        seconds.sort_by(f64::total_cmp);
        let came_back = record
            .came_back
            .iter()
            .filter(|(queue, _)| queue.ends_with(caller));
        Self {
            unfinished: sent.len() - seconds.len(),
            seconds,
            throttled: calls.iter().filter(|call| call.throttled).count(),
            calls: calls.len(),
            queue_calls: queue_calls.len(),
            without_stops: Calls::of(calls.iter().filter(|call| call.action != STOP)),
            by_action,
            round_trips: round_trips(&calls),
            came_back: came_back.map(|(_, count)| count).sum(),
        }
    }
}

/// When the work was over, for each instance where it is.
fn ends(record: &Record, work: Work, fleet: &Fleet) -> HashMap<String, Instant> {
    let mut open: HashMap<&str, usize> = HashMap::new();
    for (id, _) in fleet.target_groups.iter().flat_map(|group| &group.targets) {
        *open.entry(id).or_default() += 1;
    }
    let mut ends = HashMap::new();
    for (at, write) in &record.writes {
        match (work, write) {
            (Work::Deregister, Write::Deregistered { target, .. }) => {
                let Some(left) = open.get_mut(target.as_str()) else {
                    continue;
                };
                *left = left.saturating_sub(1);
                if *left == 0 {
                    ends.insert(target.clone(), *at);
                }
            }
            (Work::Drain, Write::Draining { instance }) | (Work::Replace, Write::Left { instance }) => {
                ends.insert(instance.clone(), *at);
            }
            _ => {}
        }
    }
    ends
}

/// How many calls come before the first write, each after the answer of the one before: the longest such chain.
fn round_trips(calls: &[&CallRecord]) -> usize {
    let Some(write) = calls
        .iter()
        .filter(|call| WRITES.contains(&call.action.as_str()))
        .min_by_key(|call| call.began)
    else {
        return 0;
    };
    let mut before: Vec<&&CallRecord> = calls.iter().filter(|call| call.ended <= write.began).collect();
    before.sort_by_key(|call| call.ended);
    // Taking the call that ends first, again and again, gives the longest chain.
    let mut chain: Vec<&CallRecord> = vec![];
    for call in before {
        if chain.last().is_none_or(|last| last.ended <= call.began) {
            chain.push(call);
        }
    }
    chain.len()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn call(action: &str, began: u64, ended: u64, zero: Instant) -> CallRecord {
        CallRecord {
            caller: "drain-tasks".to_owned(),
            service: "ecs".to_owned(),
            action: action.to_owned(),
            at: jiff::Timestamp::UNIX_EPOCH,
            began: zero + Duration::from_millis(began),
            ended: zero + Duration::from_millis(ended),
            status: 200,
            error: None,
            throttled: false,
        }
    }

    #[test]
    fn calls_side_by_side_are_one_round_trip() {
        let zero = Instant::now();
        let calls = [
            call("ListClusters", 0, 50, zero),
            call("DescribeAutoScalingInstances", 0, 50, zero),
            call("ListContainerInstances", 51, 101, zero),
            call("ListContainerInstances", 51, 101, zero),
            call("UpdateContainerInstancesState", 102, 152, zero),
            call("DescribeTasks", 160, 200, zero),
        ];
        assert_eq!(round_trips(&calls.iter().collect::<Vec<_>>()), 2);
        assert_eq!(round_trips(&[]), 0);
    }

    #[test]
    fn the_percentile_is_the_nearest_rank() {
        let seconds: Vec<f64> = (1..=200).map(f64::from).collect();
        let figures = Figures {
            seconds,
            ..Figures::default()
        };
        assert_eq!(figures.percentile(50.0), Some(100.0));
        assert_eq!(figures.percentile(99.0), Some(198.0));
        assert_eq!(figures.percentile(100.0), Some(200.0));
        assert_eq!(Figures::default().percentile(50.0), None);
    }
}
