//! What a batch costs, counted by the AWS that answers: exact, however fast the machine is.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bench::figures::Figures;
use bench::fleet::{self, Size};
use bench::run::{self, Setting, warning};
use fast_aws::{FastOptions, Fleet, Limits};
use serde_json::{Value, json};
use testbed::{FUNCTIONS, MappingOptions, Options, Outcome};
use tokio::sync::Semaphore;

/// The fleet of the storms, with so many instances.
fn fleet_of(instances: usize) -> Fleet {
    fleet::build(Size {
        instances,
        ..Size::default()
    })
}

/// Invokes every function once with warnings for all instances; what each did.
async fn in_one_batch(fleet: Fleet, latency_ms: u64) -> Result<Vec<(&'static str, Figures)>> {
    let instances = fleet.instances.len();
    let limits = Limits {
        latency_ms: Some((latency_ms, latency_ms)),
        ..Limits::default()
    };
    let bed = fast_aws::start(
        FastOptions {
            fleet: Some(fleet.clone()),
            limits,
        },
        Options {
            pollers: 0,
            ..Options::default()
        },
    )
    .await?;
    let now = std::time::Instant::now();
    let sent = (0..instances).map(|n| (fleet::instance_id(n), now)).collect();
    let records: Vec<Value> = (0..instances)
        .map(
            |n| json!({ "messageId": n.to_string(), "body": warning(&fleet::instance_id(n), n).to_string() }),
        )
        .collect();
    let aws = fast_aws::of(&bed)?;
    let mut figures = vec![];
    for function in FUNCTIONS {
        let outcome = bed.invoke(function, &json!({ "Records": records })).await?;
        ensure!(matches!(outcome, Outcome::Answer(_)), "{function}: {outcome}");
    }
    for function in FUNCTIONS {
        let of_function = Figures::read(&aws.record(), function, run::work_of(function), &fleet, &sent);
        figures.push((function, of_function));
    }
    Ok(figures)
}

/// One at a time: how many messages go into an invocation depends on how soon they are sent and received.
static TURN: Semaphore = Semaphore::const_new(1);

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_a_hundred_is_handed_off_whole_with_few_calls() -> Result<()> {
    let _turn = TURN.acquire().await?;
    // 10 groups, 5 clusters, 20 target groups. What grows with target groups: three calls for each, which read it, write down
    // in the table what is under notice there, and deregister. What grows with groups: replace-capacity detaches, and reads
    // in the table whether an exchange is under way, of each group by itself; and the health of the targets of each, and what
    // is under notice there. Each function keeps its reports in the table, 25 in a call.
    // drain-tasks asks each cluster which of its services are daemons.
    let most = [100, 48, 39];
    for ((function, figures), most) in in_one_batch(fleet_of(100), 0).await?.into_iter().zip(most) {
        assert_eq!(figures.unfinished, 0, "{function}");
        let (calls, by_action) = (figures.calls, figures.by_action);
        assert!(calls <= most, "{function}: {calls} calls, {by_action:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn of_target_groups_that_would_go_whole_half_is_held_with_few_calls_more() -> Result<()> {
    let _turn = TURN.acquire().await?;
    let mut fleet = fleet_of(100);
    let hit: BTreeSet<String> = (0..100).map(fleet::instance_id).collect();
    for target_group in &mut fleet.target_groups {
        target_group.targets.retain(|(id, _)| hit.contains(id));
    }
    let all = in_one_batch(fleet, 0).await?;
    let (function, figures) = all.first().context("no function")?;
    assert_eq!(*function, "deregister-targets");
    // All end in the same second, so the lowest ids stay. In each of the 10 groups with 10 instances 5 of them, which are the
    // first 50. Each of the 10 services has a task on 10 instances: by turns on the tens with an even and with an odd number.
    // So the fifth target that stays in each of the 5 odd ones is on an instance after the 50th.
    assert_eq!(figures.unfinished, 50 + 5);
    // For each of the 20 target groups its deregistration delay, by which the last safe moment is reckoned.
    let (calls, by_action) = (figures.calls, &figures.by_action);
    assert!(calls <= 100 + 20, "{calls} calls, {by_action:?}");
    // As many instances of each group stay in it, whose desired capacity is raised once: written down first, in one item.
    let (function, figures) = all.last().context("no function")?;
    assert_eq!(*function, "replace-capacity");
    assert_eq!(figures.unfinished, 50);
    let (calls, by_action) = (figures.calls, &figures.by_action);
    assert_eq!(by_action.get("SetDesiredCapacity"), Some(&10));
    // Of each group: the delay, the item before and after, that it is set, and one call for its looks.
    assert!(calls <= 39 + 5 * 10 + 2, "{calls} calls, {by_action:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_in_one_batch_take_less_than_a_third_of_a_call_each() -> Result<()> {
    const INSTANCES: usize = 1_000;
    let _turn = TURN.acquire().await?;
    for (function, figures) in in_one_batch(fleet_of(INSTANCES), 0).await? {
        assert_eq!(figures.unfinished, 0, "{function}");
        let (calls, by_action) = (figures.calls, figures.by_action);
        assert!(
            calls * 10 <= INSTANCES * 3,
            "{function}: {calls} calls, {by_action:?}"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_warning_takes_few_round_trips_to_the_first_write() -> Result<()> {
    let _turn = TURN.acquire().await?;
    for (function, figures) in in_one_batch(fleet_of(1), 500).await? {
        assert_eq!(figures.unfinished, 0, "{function}");
        // deregister-targets writes down first what it takes away, so that two invocations do not count on each other.
        let most = if function == "deregister-targets" { 4 } else { 3 };
        assert!(
            (1..=most).contains(&figures.round_trips),
            "{function}: {}",
            figures.round_trips
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn warnings_of_the_same_second_go_into_few_invocations() -> Result<()> {
    const INSTANCES: usize = 300;
    let _turn = TURN.acquire().await?;
    let outcome = run::ours(&Setting {
        size: Size {
            instances: INSTANCES,
            ..Size::default()
        },
        limits: Limits::default(),
        mapping: MappingOptions::default(),
        processes: 6,
        patience: Duration::from_secs(60),
        profile: None,
    })
    .await?;
    assert!(!outcome.given_up);
    assert_eq!(outcome.dead_letters, 0);
    for (function, figures) in &outcome.functions {
        assert_eq!(figures.unfinished, 0, "{function}");
        assert_eq!(figures.came_back, 0, "{function}: a message was handled twice");
    }
    // Lambda hands over ten messages at most, which would make thirty invocations of each function. Usually there are
    // about ten. On a busy machine, the warnings take longer than a second to come in.
    let (invocations, _) = outcome.invocations;
    assert!(invocations < 3 * INSTANCES / 10, "{invocations} invocations");
    Ok(())
}
