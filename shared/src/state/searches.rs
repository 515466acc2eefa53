//! How far the search for target groups is, for an instance that is in no group and no cluster.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Item, Key};
use crate::elb::health::{self, TargetHealth};
use crate::notice::InstanceId;

/// Longer than a notice is tried and looked at.
const KEPT_FOR: SignedDuration = SignedDuration::from_mins(30);

/// A search for one instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Search {
    /// The instance.
    pub instance: InstanceId,
    /// When it began.
    pub begun_at: Timestamp,
    /// How many reads of target groups it has made, over all tries.
    pub asked: usize,
    /// ARNs of the target groups that need no further look.
    pub looked_at: BTreeSet<String>,
    /// Those of them in which the instance is registered.
    pub found: BTreeSet<String>,
    /// How many target groups it had not looked at when it was over.
    pub rest: usize,
    /// Whether it is over: everything was looked at, or the budget is spent.
    pub is_over: bool,
}

impl Search {
    /// A search that begins.
    pub fn begun(instance: &InstanceId, now: Timestamp) -> Self {
        Self {
            instance: instance.clone(),
            begun_at: now,
            asked: 0,
            looked_at: BTreeSet::new(),
            found: BTreeSet::new(),
            rest: 0,
            is_over: false,
        }
    }

    /// The key of the search for an instance.
    pub fn key_of(instance: &InstanceId) -> Key {
        Key::new(instance.as_str(), "search")
    }

    /// Adds what was read. `all` are all target groups, and at most `budget` of them may be looked at.
    pub fn learn(&mut self, all: &[String], read: &TargetHealth, budget: usize) {
        for arn in all {
            let Some(answer) = read.get(arn).filter(|_| !self.looked_at.contains(arn)) else {
                continue;
            };
            self.asked += 1;
            let registered = match answer {
                Ok(registered) => registered.as_slice(),
                Err(error) if health::is_gone(error) => &[],
                Err(_) => continue,
            };
            self.looked_at.insert(arn.clone());
            if registered
                .iter()
                .any(|one| one.target.id == self.instance.as_str())
            {
                self.found.insert(arn.clone());
            }
        }
        self.rest = all.iter().filter(|arn| !self.looked_at.contains(*arn)).count();
        self.is_over = self.rest == 0 || self.asked >= budget;
    }
}

impl Item for Search {
    fn key(&self) -> Key {
        Self::key_of(&self.instance)
    }

    fn expires(&self) -> Timestamp {
        self.begun_at.saturating_add(KEPT_FOR).unwrap_or(self.begun_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elb::health::{Registered, State, Target};
    use crate::runtime::aws::CallError;

    #[test]
    fn a_search_goes_on_where_it_stopped_and_ends_with_its_budget() {
        let instance: InstanceId = "i-1234567890abcdef0".parse().expect("an id");
        let registered = vec![Registered {
            target: Target {
                id: instance.to_string(),
                port: Some(80),
            },
            state: State::Healthy,
            zone: None,
        }];
        let throttled = CallError::OutOfTime {
            action: "DescribeTargetHealth",
            last: None,
        };
        let all: Vec<String> = ["a", "b", "c", "d"].map(str::to_owned).into();
        let mut search = Search::begun(&instance, Timestamp::UNIX_EPOCH);
        let first = TargetHealth::from([("a".to_owned(), Ok(vec![])), ("b".to_owned(), Err(throttled))]);
        search.learn(&all, &first, 4);
        assert_eq!((search.asked, search.rest, search.is_over), (2, 3, false));
        let second = TargetHealth::from([("b".to_owned(), Ok(registered)), ("c".to_owned(), Ok(vec![]))]);
        search.learn(&all, &second, 4);
        assert_eq!((search.asked, search.rest, search.is_over), (4, 1, true));
        assert_eq!(search.found, BTreeSet::from(["b".to_owned()]));
        let mut without_any = Search::begun(&instance, Timestamp::UNIX_EPOCH);
        without_any.learn(&[], &TargetHealth::new(), 4);
        assert!(without_any.is_over && without_any.found.is_empty());
    }
}
