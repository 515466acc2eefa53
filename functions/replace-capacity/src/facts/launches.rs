//! How the recent launches of a group went, according to its scaling activities.

use std::collections::BTreeSet;

use aws_sdk_autoscaling::types::{Activity, ScalingActivityStatusCode as Status};
use jiff::Timestamp;
use spot_handoff::autoscaling::launch_failures::LaunchFailure;
use spot_handoff::runtime::aws::CallError;
use spot_handoff::runtime::invocation::{Invocation, together};
use spot_handoff::state::group_watch::Failing;

use crate::clients::Clients;

/// The most that one answer contains, the newest first.
/// <https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_DescribeScalingActivities.html>
const MOST: i32 = 100;

/// How the launches of one group went.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Launches {
    /// The newest first.
    list: Vec<Launch>,
}

/// One launch that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Launch {
    begun: Timestamp,
    /// Why it failed; `None` if it succeeded.
    failure: Option<LaunchFailure>,
}

impl Launches {
    /// Given launches, each with its error message, for table tests.
    #[cfg(test)]
    pub fn with<'a>(list: impl IntoIterator<Item = (Timestamp, Option<&'a str>)>) -> Self {
        let launch = |(begun, message): (Timestamp, Option<&str>)| Launch {
            begun,
            failure: message.map(LaunchFailure::of),
        };
        let mut list: Vec<Launch> = list.into_iter().map(launch).collect();
        list.sort_by_key(|launch| std::cmp::Reverse(launch.begun));
        Self { list }
    }

    /// How many launches that began after this moment have succeeded.
    pub fn succeeded(&self, since: Timestamp) -> usize {
        let lately = self.list.iter().take_while(|launch| launch.begun >= since);
        lately.filter(|launch| launch.failure.is_none()).count()
    }

    /// Whether all launches that began after this moment have failed: since when, and how the last one failed.
    pub fn failing(&self, since: Timestamp) -> Option<Failing> {
        let lately = self.list.iter().take_while(|launch| launch.begun >= since);
        let mut failed = lately.map_while(|launch| Some((launch.begun, launch.failure.as_ref()?)));
        let (newest, last) = failed.next()?;
        let begun = failed.map(|(begun, _)| begun).last();
        Some(Failing {
            since: begun.unwrap_or(newest),
            last: last.clone(),
        })
    }
}

/// Reads the launches of these groups. If they cannot be read, the group counts as one without launches.
pub async fn read(
    clients: &Clients,
    invocation: &Invocation,
    groups: BTreeSet<&str>,
) -> Vec<(String, Result<Launches, CallError>)> {
    let read = |group: &str| {
        let asking = clients
            .autoscaling
            .describe_scaling_activities()
            .auto_scaling_group_name(group)
            .max_records(MOST)
            .send();
        let group = group.to_owned();
        async move {
            let answer = invocation.call("DescribeScalingActivities", asking).await;
            let launches = answer.map(|answer| {
                let mut list: Vec<Launch> = answer.activities().iter().filter_map(launch).collect();
                list.sort_by_key(|launch| std::cmp::Reverse(launch.begun));
                Launches { list }
            });
            (group, launches)
        }
    };
    together(groups.into_iter().map(read)).await
}

/// The launch of an activity; `None` if it is no launch, or has not ended.
fn launch(activity: &Activity) -> Option<Launch> {
    // Activities have no kind, but the description begins with it.
    if !activity.description()?.starts_with("Launching") {
        return None;
    }
    let failure = match activity.status_code()? {
        Status::Successful => None,
        Status::Failed | Status::Cancelled => {
            Some(LaunchFailure::of(activity.status_message().unwrap_or_default()))
        }
        _ => return None,
    };
    let begun = Timestamp::from_millisecond(activity.start_time()?.to_millis().ok()?).ok()?;
    Some(Launch { begun, failure })
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_autoscaling::primitives::DateTime;

    fn activity(seconds: i64, description: &str, status: Status, message: &str) -> Option<Launch> {
        let activity = Activity::builder()
            .activity_id("a")
            .auto_scaling_group_name("g")
            .cause("c")
            .description(description)
            .start_time(DateTime::from_secs(seconds))
            .status_code(status)
            .status_message(message)
            .build();
        launch(&activity)
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).expect("a time")
    }

    #[test]
    fn launches_fail_since_the_first_failure_after_the_last_success() {
        let new = "Launching a new EC2 instance: i-1";
        let failed = |seconds| {
            activity(
                seconds,
                "Launching a new EC2 instance.  Status Reason: x",
                Status::Failed,
                "x",
            )
        };
        let of = |list: Vec<Option<Launch>>| Launches {
            list: list.into_iter().flatten().collect(),
        };
        let going_on = activity(60, new, Status::PreInService, "");
        let gone = activity(55, "Terminating EC2 instance: i-2", Status::Failed, "no");
        assert_eq!((&going_on, &gone), (&None, &None));
        let done = || activity(30, new, Status::Successful, "");
        let launches = of(vec![going_on, failed(50), failed(40), done(), failed(20)]);
        let failing = launches.failing(at(0)).expect("they fail");
        assert_eq!((failing.since, failing.last.message.as_str()), (at(40), "x"));
        assert_eq!(
            launches.failing(at(45)).map(|failing| failing.since),
            Some(at(50))
        );
        assert_eq!(
            launches.failing(at(55)),
            None,
            "what was before is another matter"
        );
        assert_eq!(of(vec![done(), failed(20)]).failing(at(0)), None);
        assert_eq!(of(vec![]).failing(at(0)), None);
    }
}
