//! Exchanges: an instance that may serve on for a while goes only after its replacement has come. replace-capacity makes
//! them; the other functions have to know when to leave the instance alone meanwhile.

use jiff::SignedDuration;

use crate::autoscaling::groups::{Group, GroupOf, Lifecycle, Member};
use crate::notice::{InstanceId, Notice, Signal};

/// How long an exchange may take, from its first launch on. Also the deadline by which standalone tasks on the old
/// instance are stopped, and as far as one delayed message reaches.
pub const LIMIT: SignedDuration = SignedDuration::from_mins(15);

const TAG: &str = "spot-handoff:replacing:";

/// The key of the tag on a group that says how far the exchange of an instance has come.
pub fn tag_of(instance: &InstanceId) -> String {
    format!("{TAG}{instance}")
}

/// The instance whose exchange a tag is about, where it is such a tag.
pub fn instance_of(tag: &str) -> Option<&str> {
    tag.strip_prefix(TAG)
}

/// Whether the work stays on the instance until replace-capacity says that the replacement is there.
///
/// A rebalance recommendation always waits. A retirement does where there is time for an exchange and one can begin;
/// else nobody would ever say so, and the work is moved at once.
pub fn replacement_comes_first(notice: &Notice, group: &GroupOf<'_>) -> bool {
    match (&notice.signal, group) {
        (Signal::RebalanceRecommendation, _) => true,
        (Signal::ScheduledRetirement { starts }, GroupOf::Some { group, member }) => {
            starts.duration_since(notice.time) > LIMIT && can_be_exchanged(group, member)
        }
        _ => false,
    }
}

/// Whether the exchange of an instance is under way or can begin. Whether it does is for replace-capacity to see, which
/// knows how many others take room in the group at the same time.
fn can_be_exchanged(group: &Group, member: &Member) -> bool {
    let serves = member.lifecycle == Lifecycle::InService;
    let has_room = group.desired < group.max && !group.suspended.contains("Launch");
    let can_begin = serves && has_room && !group.is_weighted;
    can_begin || group.tags.contains_key(&tag_of(&member.id))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::autoscaling::groups::Groups;

    fn time(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn waits(starts: &str, change: impl FnOnce(&mut Group)) -> bool {
        let instance: InstanceId = "i-1234567890abcdef0".parse().expect("an id");
        let mut group = Group {
            name: "g".to_owned(),
            desired: 2,
            max: 3,
            instances: vec![Member {
                id: instance.clone(),
                zone: "us-east-1a".to_owned(),
                lifecycle: Lifecycle::InService,
            }],
            ..Group::default()
        };
        change(&mut group);
        let notice = Notice {
            event_id: "e".to_owned(),
            instance: instance.clone(),
            time: time("2026-11-24T04:00:00Z"),
            signal: Signal::ScheduledRetirement { starts: time(starts) },
            ends: None,
            drill: None,
        };
        replacement_comes_first(&notice, &Groups::of([group]).of_instance(&instance))
    }

    #[test]
    fn a_retirement_waits_for_its_replacement_where_one_will_come_in_time() {
        let in_a_week = "2026-12-01T00:00:00Z";
        assert!(waits(in_a_week, |_| {}));
        assert!(!waits("2026-11-24T04:15:00Z", |_| {}), "no time");
        assert!(!waits(in_a_week, |group| group.max = 2), "no room");
        assert!(!waits(in_a_week, |group| group.is_weighted = true), "weights");
        assert!(!waits(in_a_week, |group| group.instances.clear()), "no group");
        let standby = |group: &mut Group| group.instances[0].lifecycle = Lifecycle::Standby;
        assert!(!waits(in_a_week, standby), "not replaced");
        let suspended = |group: &mut Group| group.suspended = ["Launch".to_owned()].into();
        assert!(!waits(in_a_week, suspended), "no launch");
        let under_way = |group: &mut Group| {
            group.max = 2;
            let key = "spot-handoff:replacing:i-1234567890abcdef0".to_owned();
            group.tags = [(key, "raised 1".to_owned())].into();
        };
        assert!(
            waits(in_a_week, under_way),
            "a repeated notice finds its own exchange"
        );
    }
}
