//! What was taken from an instance that comes back under the same id, so that it can be given back then.
//!
//! Each function that takes something has its own item. What it gives back is deleted from the item.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Item, Key, Table};
use crate::elb::health::Target;
use crate::notice::InstanceId;
use crate::runtime::aws::CallError;
use crate::runtime::invocation::Invocation;

/// EC2 starts a stopped Spot Instance when there is capacity again, however long that takes.
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/interruption-behavior.html>
const KEPT_FOR: SignedDuration = SignedDuration::from_hours(90 * 24);

/// What one function has taken from one instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Taken {
    /// The instance.
    pub instance: InstanceId,
    /// The function.
    pub by: String,
    /// When it took this.
    pub at: Timestamp,
    /// ARNs of the container instances that were set to DRAINING.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub container_instances: Vec<String>,
    /// Targets that were deregistered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<TakenTarget>,
}

/// A target that was taken out of a target group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct TakenTarget {
    /// ARN of the target group.
    pub target_group: String,
    /// Its id.
    pub id: String,
    /// Its port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<i32>,
}

impl TakenTarget {
    /// The target of this target group.
    pub fn of(target_group: &str, target: &Target) -> Self {
        Self {
            target_group: target_group.to_owned(),
            id: target.id.clone(),
            port: target.port,
        }
    }

    /// The target.
    pub fn target(&self) -> Target {
        Target {
            id: self.id.clone(),
            port: self.port,
        }
    }
}

impl Taken {
    /// Nothing is taken yet, or everything is given back.
    pub fn nothing(instance: &InstanceId, by: &str, at: Timestamp) -> Self {
        Self {
            instance: instance.clone(),
            by: by.to_owned(),
            at,
            container_instances: vec![],
            targets: vec![],
        }
    }

    /// Whether there is nothing to give back.
    pub fn is_nothing(&self) -> bool {
        self.container_instances.is_empty() && self.targets.is_empty()
    }

    /// The key of an item.
    pub fn key_of(instance: &InstanceId, by: &str) -> Key {
        Key::new(instance.as_str(), format!("taken#{by}"))
    }
}

impl Item for Taken {
    fn key(&self) -> Key {
        Self::key_of(&self.instance, &self.by)
    }

    fn expires(&self) -> Timestamp {
        self.at.saturating_add(KEPT_FOR).unwrap_or(self.at)
    }
}

/// Records what is taken. Returns the error if that failed. A dry run records nothing.
pub async fn keep(
    table: &Table,
    invocation: &Invocation,
    taken: impl IntoIterator<Item = Taken>,
) -> Option<String> {
    let items: Vec<Taken> = taken.into_iter().filter(|taken| !taken.is_nothing()).collect();
    if items.is_empty() || invocation.dry_run {
        return None;
    }
    let kept = table.overwrite_all(&invocation.briefly(), &items).await;
    kept.err().map(|error| error.to_string())
}

/// Deletes the records for instances that have back what this function had taken.
pub async fn forget<'a>(
    table: &Table,
    invocation: &Invocation,
    instances: impl IntoIterator<Item = &'a InstanceId>,
) {
    let now = invocation.clock.now();
    let instances = instances.into_iter();
    let items: Vec<Taken> = instances
        .map(|instance| Taken::nothing(instance, invocation.function, now))
        .collect();
    if items.is_empty() {
        return;
    }
    if let Err(error) = table.overwrite_all(&invocation.briefly(), &items).await {
        // If the record stays, the next look finds that everything is back, and changes nothing.
        tracing::warn!("cannot forget what was given back: {error}");
    }
}

/// What this function has taken from these instances and not given back yet.
///
/// # Errors
/// See [`CallError`].
pub async fn read<'a>(
    table: &Table,
    invocation: &Invocation,
    instances: impl IntoIterator<Item = &'a InstanceId>,
) -> Result<Vec<Taken>, CallError> {
    let instances = instances.into_iter();
    let keys: std::collections::BTreeSet<Key> = instances
        .map(|instance| Taken::key_of(instance, invocation.function))
        .collect();
    let keys: Vec<Key> = keys.into_iter().collect();
    if keys.is_empty() {
        return Ok(vec![]);
    }
    let found = table.get_all::<Taken>(invocation, &keys).await?;
    let items = found.into_iter().map(|versioned| versioned.item);
    Ok(items.filter(|taken| !taken.is_nothing()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_says_what_was_taken_and_is_kept_until_the_instance_may_be_back() {
        let id: InstanceId = "i-1234567890abcdef0".parse().expect("an id");
        let mut taken = Taken::nothing(&id, "drain-tasks", Timestamp::UNIX_EPOCH);
        assert!(taken.is_nothing());
        assert_eq!(taken.key(), Taken::key_of(&id, "drain-tasks"));
        assert_ne!(taken.key(), Taken::key_of(&id, "deregister-targets"));
        let target = Target {
            id: id.to_string(),
            port: Some(80),
        };
        taken.targets.push(TakenTarget::of("tg", &target));
        assert!(!taken.is_nothing());
        assert_eq!(taken.targets[0].target(), target);
        let json = serde_json::to_string(&taken).expect("JSON");
        assert_eq!(serde_json::from_str::<Taken>(&json).expect("read"), taken);
        let months = taken.expires().duration_since(taken.at).as_hours() / 24 / 30;
        assert_eq!(months, 3);
    }
}
