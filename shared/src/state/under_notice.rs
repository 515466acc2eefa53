//! What is under notice in a target group: one item for each target group, written before anything is taken away.
//!
//! A batch reads the item, adds its doomed targets, and writes it back if it still has the version that was read. If
//! two batches do this at the same time, the second one has to read what the first one wrote. So every batch has its
//! place in an order, and it never counts a target as staying that an earlier batch has doomed. The first batch does
//! not know of the second; [`crate::elb::holding`] deals with that.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Expected, Item, Key, Table, Versioned, Written};
use crate::elb::holding::Doomed;
use crate::runtime::aws::CallError;
use crate::runtime::invocation::{Invocation, together};

/// How long an end is kept after its moment. An end without a moment is kept from the time of writing.
const KEPT_AFTER_END: SignedDuration = SignedDuration::from_mins(5);
const KEPT_WITHOUT_END: SignedDuration = SignedDuration::from_hours(1);

/// How long a count of serving targets is used as the number before the notices: as long as a notice and its hand-off
/// take.
const COUNTED_FOR: SignedDuration = SignedDuration::from_mins(3);

/// Taking a target away waits this long for the table, and then goes on without it.
pub const WAITS_FOR_TABLE: Duration = Duration::from_secs(1);

/// What is under notice in one target group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct UnderNotice {
    /// ARN of the target group.
    pub target_group: String,
    /// The batches, the oldest first.
    batches: Vec<Batch>,
}

/// What one batch has written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Batch {
    order: u64,
    noted_at: Timestamp,
    /// How many targets served then.
    serving: usize,
    /// Ends, and the targets that have them: many instances share one end.
    ends: Vec<End>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct End {
    serves_until: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    as_last: Option<Timestamp>,
    targets: Vec<(String, Option<i32>)>,
}

impl Item for UnderNotice {
    fn key(&self) -> Key {
        Self::key_of(&self.target_group)
    }

    fn expires(&self) -> Timestamp {
        let ends = self.batches.iter().map(Batch::over_at);
        ends.max().unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

impl Batch {
    fn over_at(&self) -> Timestamp {
        let of_end = |end: &End| match end.serves_until {
            Some(end) => end.saturating_add(KEPT_AFTER_END).unwrap_or(end),
            None => {
                let noted_at = self.noted_at;
                noted_at.saturating_add(KEPT_WITHOUT_END).unwrap_or(noted_at)
            }
        };
        self.ends.iter().map(of_end).max().unwrap_or(self.noted_at)
    }

    fn doomed(&self) -> impl Iterator<Item = Doomed> {
        self.ends.iter().flat_map(|end| {
            end.targets.iter().map(|(id, port)| Doomed {
                id: id.clone(),
                port: *port,
                serves_until: end.serves_until,
                as_last: end.as_last,
                order: self.order,
            })
        })
    }
}

impl UnderNotice {
    /// Nothing is under notice.
    pub fn nothing(target_group: &str) -> Self {
        Self {
            target_group: target_group.to_owned(),
            batches: vec![],
        }
    }

    /// The key of a target group's item.
    pub fn key_of(target_group: &str) -> Key {
        Key::new(target_group, "under-notice")
    }

    /// All doomed targets of the target group, for [`crate::elb::holding::decide`].
    pub fn doomed(&self) -> Vec<Doomed> {
        self.batches.iter().flat_map(Batch::doomed).collect()
    }

    /// How many served before the notices of the last minutes. Older counts do not matter: the group may have become
    /// smaller since.
    pub fn served_before(&self, now: Timestamp) -> usize {
        let is_recent = |batch: &&Batch| now.duration_since(batch.noted_at) < COUNTED_FOR;
        let counts = self.batches.iter().filter(is_recent).map(|batch| batch.serving);
        counts.max().unwrap_or(0)
    }

    /// Adds what a batch knows; `serving` targets serve now. Returns whether anything is new. What is already known
    /// keeps its place.
    pub fn add(&mut self, doomed: &[Doomed], serving: usize, now: Timestamp) -> bool {
        let known = self.doomed();
        let is_news = |new: &&Doomed| {
            !known.iter().any(|known| {
                let (is_it, same) = ((known.id == new.id), (known.port == new.port));
                let ends = |one: &Doomed| (one.serves_until, one.as_last);
                is_it && same && ends(known) == ends(new)
            })
        };
        let news: Vec<&Doomed> = doomed.iter().filter(is_news).collect();
        if news.is_empty() {
            return false;
        }
        self.batches.retain(|batch| batch.over_at() > now);
        let mut batch = Batch {
            order: self.batches.last().map_or(0, |youngest| youngest.order) + 1,
            noted_at: now,
            serving,
            ends: vec![],
        };
        for new in news {
            let target = (new.id.clone(), new.port);
            let same_end = batch
                .ends
                .iter_mut()
                .find(|end| (end.serves_until, end.as_last) == (new.serves_until, new.as_last));
            match same_end {
                Some(end) if end.targets.contains(&target) => {}
                Some(end) => end.targets.push(target),
                None => batch.ends.push(End {
                    serves_until: new.serves_until,
                    as_last: new.as_last,
                    targets: vec![target],
                }),
            }
        }
        self.batches.push(batch);
        true
    }
}

/// What a batch knows about one target group.
#[derive(Debug, Clone)]
pub struct News {
    /// ARN of the target group.
    pub target_group: String,
    /// The doomed targets in it.
    pub doomed: Vec<Doomed>,
    /// How many targets serve.
    pub serving: usize,
}

/// Reads what is under notice in these target groups. A target group without an item is left out.
///
/// # Errors
/// See [`CallError`].
pub async fn read(
    table: &Table,
    invocation: &Invocation,
    target_groups: impl IntoIterator<Item = &String>,
) -> Result<Vec<Versioned<UnderNotice>>, CallError> {
    let keys: Vec<Key> = target_groups
        .into_iter()
        .map(|arn| UnderNotice::key_of(arn))
        .collect();
    if keys.is_empty() {
        return Ok(vec![]);
    }
    table
        .get_all(&invocation.for_at_most(WAITS_FOR_TABLE), &keys)
        .await
}

/// Writes what a batch knows, after `known` has been read. Returns all that is under notice in each of the target
/// groups, in their order.
///
/// It makes one write for each target group, and none if nothing is new.
///
/// # Errors
/// See [`CallError`], for each target group separately: then nothing is known about it.
pub async fn note(
    table: &Table,
    invocation: &Invocation,
    news: &[News],
    known: Result<Vec<Versioned<UnderNotice>>, CallError>,
) -> Vec<Result<UnderNotice, CallError>> {
    let invocation = invocation.for_at_most(WAITS_FOR_TABLE);
    let known = match known {
        Ok(known) => known,
        Err(error) => return news.iter().map(|_| Err(error.clone())).collect(),
    };
    together(
        news.iter()
            .map(|news| note_one(table, &invocation, news, of(&known, news).cloned())),
    )
    .await
}

/// What [`note`] would return, with nothing written.
pub fn as_if_noted(
    news: &[News],
    known: Result<Vec<Versioned<UnderNotice>>, CallError>,
    now: Timestamp,
) -> Vec<Result<UnderNotice, CallError>> {
    let item = |known: &[Versioned<UnderNotice>], news: &News| {
        let known = of(known, news).map(|known| known.item.clone());
        let mut item = known.unwrap_or_else(|| UnderNotice::nothing(&news.target_group));
        item.add(&news.doomed, news.serving, now);
        item
    };
    news.iter()
        .map(|news| known.clone().map(|known| item(&known, news)))
        .collect()
}

fn of<'a>(known: &'a [Versioned<UnderNotice>], news: &News) -> Option<&'a Versioned<UnderNotice>> {
    known
        .iter()
        .find(|known| known.item.target_group == news.target_group)
}

async fn note_one(
    table: &Table,
    invocation: &Invocation,
    news: &News,
    mut known: Option<Versioned<UnderNotice>>,
) -> Result<UnderNotice, CallError> {
    loop {
        let (mut item, expected) = match known {
            Some(known) => (known.item, Expected::Version(known.version)),
            None => (UnderNotice::nothing(&news.target_group), Expected::Nothing),
        };
        if !item.add(&news.doomed, news.serving, invocation.clock.now()) {
            return Ok(item);
        }
        if let Written::Yes(_) = table.write(invocation, &item, expected).await? {
            return Ok(item);
        }
        // With the same action as all reads here, so that the role needs no other.
        known = table.get_all(invocation, &[item.key()]).await?.pop();
    }
}

#[cfg(test)]
mod tests;
