//! Announcements of hand-offs, through rule, delayed queue, log groups, topic and bus, on the embedded AWS.

use anyhow::{Context, Result};
use end_to_end::{GROUP, PATIENCE, event, first_of, reports_of};
use serde_json::{Value, json};
use spot_handoff::report::Outcome;
use testbed::state::Group;
use testbed::{ANNOUNCER, Notification, Options, State, Testbed};

/// A fast world, in which the delay passes in seconds.
async fn announcing(options: Options) -> Result<Testbed> {
    Testbed::start(Options {
        announce: true,
        ..options.speed(20.0)
    })
    .await
}

/// A warning with an id of its own, from AWS or from a drill.
fn warning(bed: &Testbed, source: &str, number: u32, instance: &str) -> Value {
    let mut event = event(
        source,
        "EC2 Spot Instance Interruption Warning",
        bed.world.clock().now(),
        json!({ "instance-id": instance, "instance-action": "terminate" }),
    );
    event["id"] = json!(format!("0d079340-135a-c8c6-95c2-{number:012}"));
    event
}

/// A group with instances that is not the one most tests are about.
fn another_group(state: &State) -> Result<&Group> {
    let mut others = state.groups.iter().filter(|group| group.name != GROUP);
    others
        .find(|group| !group.instances.is_empty())
        .context("another group")
}

/// The announcements on the bus, by instance.
async fn announced(bed: &Testbed) -> Result<Vec<Value>> {
    of_kind(bed, "Spot Instance Handed Off").await
}

/// The beginnings on the bus, by instance.
async fn started(bed: &Testbed) -> Result<Vec<Value>> {
    of_kind(bed, "Spot Instance Hand-off Started").await
}

async fn of_kind(bed: &Testbed, detail_type: &str) -> Result<Vec<Value>> {
    let mut events = bed.world.events().await?;
    events.retain(|event| event["detail-type"] == detail_type);
    events.sort_by_key(|event| event["detail"]["warning-id"].to_string());
    Ok(events)
}

fn subjects(notifications: &[Notification]) -> Vec<&str> {
    let mut subjects: Vec<&str> = notifications
        .iter()
        .filter_map(|one| one.subject.as_deref())
        .collect();
    subjects.sort_unstable();
    subjects
}

#[tokio::test(flavor = "multi_thread")]
async fn each_hand_off_is_told_once_its_two_minutes_are_over() -> Result<()> {
    // So slow that even on a busy machine all have reported before the announcement. Otherwise the two would be
    // announced one after the other.
    let bed = Testbed::start(Options {
        announce: true,
        ..Options::default().parameter("Announcements", "all").speed(8.0)
    })
    .await?;
    let state = bed.world.state().await?;
    let group = state.group(GROUP).context("group")?;
    let [real, practised] = [0, 1].map(|index| group.instances[index].id.clone());
    let other = another_group(&state)?;
    bed.world
        .tag_group(&other.name, "spot-handoff:ignore", "true")
        .await?;

    let sent = bed.world.clock().now();
    bed.put_event(&warning(&bed, "aws.ec2", 1, &real)).await?;
    bed.put_event(&warning(&bed, "spot-handoff.drill", 2, &practised))
        .await?;
    bed.put_event(&warning(&bed, "aws.ec2", 3, &other.instances[0].id))
        .await?;
    bed.until_settled(PATIENCE).await?;

    let notifications = bed.world.notifications().await?;
    assert_eq!(
        subjects(&notifications),
        [format!("2 hand-offs: 2 {GROUP}")],
        "those of the same seconds share a message, and an instance that was left alone is not announced"
    );
    let told = &notifications[0];
    for one in [
        format!("Drill: Dry run: {practised} in {GROUP} would be handed off"),
        format!("Handed off: {real} in {GROUP}, "),
    ] {
        assert!(told.message.contains(&one), "{one}: {}", told.message);
    }

    let events = announced(&bed).await?;
    assert_eq!(events.len(), 2, "{events:?}");
    assert_eq!(events[0]["source"], "spot-handoff");
    assert_eq!(events[0]["detail"]["instance-id"], json!(real));
    let text = events[0]["detail"]["text"].as_str().context("text")?;
    for done in ["drain container instance inference/", "detach instance inference"] {
        assert!(text.contains(done), "{done}: {text}");
    }
    assert_eq!(events[1]["detail"]["drill"], json!(true));
    let time: jiff::Timestamp = events[0]["time"].as_str().context("time")?.parse()?;
    assert!(
        time.duration_since(sent).as_secs() >= 120,
        "{time} is within the two minutes from {sent}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_told_as_one_with_what_to_do_next() -> Result<()> {
    // Nothing moves, so all tries of the message come before AWS takes the instance, however slow the machine is.
    let still = Options {
        simulate: false,
        ..Options::default()
    };
    let bed = announcing(still.parameter("Announcements", "failures")).await?;
    let state = bed.world.state().await?;
    let doomed = first_of(&state, GROUP)?;
    let other = another_group(&state)?;
    // Nobody else drains the instance, so this failure stays. Targets would not do: if one function leaves them,
    // others take them out.
    bed.world
        .faults(
            &json!({ "caller": "drain-tasks", "action": "UpdateContainerInstancesState",
            "fault": { "kind": "error", "code": "AccessDenied", "status": 403 } }),
        )
        .await?;
    bed.put_event(&warning(&bed, "aws.ec2", 1, &doomed)).await?;
    bed.until_settled(PATIENCE).await?;
    bed.world.clear_faults().await?;
    bed.put_event(&warning(&bed, "aws.ec2", 2, &other.instances[0].id))
        .await?;
    bed.until_settled(PATIENCE).await?;

    let events = announced(&bed).await?;
    let outcomes: Vec<Value> = events
        .iter()
        .map(|event| event["detail"]["outcome"].clone())
        .collect();
    // If nothing moves, nothing is launched either. So the group of the other instance is short. This is announced
    // when the watch is over, half an hour later.
    assert_eq!(outcomes, [json!("failed"), json!("still-short")], "{events:?}");
    let notifications = bed.world.notifications().await?;
    assert_eq!(
        subjects(&notifications),
        [format!("FAILED: {doomed} in {GROUP}: drain-tasks failed")]
    );
    let text = &notifications[0].message;
    assert!(
        text.contains("UpdateContainerInstancesState refused: AccessDenied"),
        "{text}"
    );
    assert!(
        text.contains("Check that the services have their desired tasks again"),
        "{text}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_be_told_is_not_told_again_when_the_rest_is_tried_again() -> Result<()> {
    for fails in ["Publish", "PutEvents"] {
        let bed = announcing(Options::default().parameter("Announcements", "all")).await?;
        let instance = first_of(&bed.world.state().await?, GROUP)?;
        let order =
            json!({ "caller": ANNOUNCER, "action": fails, "times": 2, "fault": { "kind": "denied" } });
        bed.world.faults(&order).await?;
        bed.put_event(&warning(&bed, "aws.ec2", 1, &instance)).await?;
        bed.until_settled(PATIENCE).await?;

        let failed = reports_of(&bed, ANNOUNCER);
        let failed = failed.iter().filter(|report| report.outcome == Outcome::Failed);
        assert_eq!(failed.count(), 2, "{fails}");
        assert_eq!(announced(&bed).await?.len(), 1, "{fails}");
        assert_eq!(bed.world.notifications().await?.len(), 1, "{fails}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_is_told_in_one_message_and_a_quiet_day_in_none() -> Result<()> {
    for (announcements, messages) in [("all", 1), ("failures", 0)] {
        let bed = announcing(Options::default().parameter("Announcements", announcements)).await?;
        let state = bed.world.state().await?;
        let doomed = state
            .groups
            .iter()
            .flat_map(|group| &group.instances)
            .take(21)
            .map(|instance| instance.id.clone());
        // At the same moment. One after the other, they would come over half a minute of a fast world.
        let warnings: Vec<Value> = (0..)
            .zip(doomed)
            .map(|(number, instance)| warning(&bed, "aws.ec2", number, &instance))
            .collect();
        bed.world.put_events(&warnings).await?;
        bed.until_settled(PATIENCE).await?;
        let notifications = bed.world.notifications().await?;
        let found = subjects(&notifications);
        assert!(
            found.len() <= 3 && found.len() >= messages,
            "{announcements}: {found:?}"
        );
        if messages == 0 {
            // Whole groups go. For a while nothing serves in some of them, and the announcement calls this a loss.
            let bad = ["FAILED", "WITH LOSSES", "STILL SHORT", "Handed off with losses"];
            let is_bad = |subject: &&str| bad.iter().any(|word| subject.contains(word));
            assert!(
                found.iter().all(is_bad),
                "{found:?}: {:?}",
                notifications.iter().map(|one| &one.message).collect::<Vec<_>>()
            );
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn that_a_hand_off_has_begun_is_told_once_within_the_notice() -> Result<()> {
    let bed = Testbed::start(Options {
        announce: true,
        ..Options::default().speed(5.0)
    })
    .await?;
    let state = bed.world.state().await?;
    let instance = first_of(&state, GROUP)?;
    let other = another_group(&state)?;
    bed.world
        .tag_group(&other.name, "spot-handoff:ignore", "true")
        .await?;
    let warned = warning(&bed, "aws.ec2", 1, &instance);
    bed.put_event(&warned).await?;
    bed.put_event(&warned).await?;
    bed.put_event(&warning(&bed, "aws.ec2", 2, &other.instances[0].id))
        .await?;
    bed.until_settled(PATIENCE).await?;

    let events = started(&bed).await?;
    assert_eq!(
        events.len(),
        1,
        "copies are told once, and what is left alone is not: {events:?}"
    );
    let detail = &events[0]["detail"];
    assert_eq!(detail["instance-id"], json!(instance));
    let left = detail["seconds-left"].as_i64().context("seconds")?;
    assert!(left > 60, "others have most of the notice left: {left} s");
    assert!(
        !detail["begun-by"].as_array().context("functions")?.is_empty(),
        "{detail}"
    );
    assert_eq!(announced(&bed).await?.len(), 1, "and its end once");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_table_a_beginning_is_told_all_the_same() -> Result<()> {
    let bed = announcing(Options::default()).await?;
    let instance = first_of(&bed.world.state().await?, GROUP)?;
    let faults = ["PutItem", "BatchWriteItem", "Query", "BatchGetItem", "GetItem"]
        .map(|action| json!({ "action": action, "fault": { "kind": "denied" } }));
    bed.world.faults(&json!(faults)).await?;
    bed.put_event(&warning(&bed, "aws.ec2", 1, &instance)).await?;
    let closes = tokio::time::Instant::now() + PATIENCE;
    while started(&bed).await?.is_empty() {
        assert!(tokio::time::Instant::now() < closes, "nobody was told");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let events = started(&bed).await?;
    assert_eq!(events[0]["detail"]["instance-id"], json!(instance));
    assert_eq!(
        events[0]["detail"]["begun-by"],
        json!([]),
        "nobody could tell who"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exchange_and_a_termination_hook_are_announced_when_they_end() -> Result<()> {
    let bed = announcing(Options::default().parameter("StandaloneTasks", "stop-now")).await?;
    let state = bed.world.state().await?;
    let exchanged = first_of(&state, GROUP)?;
    let hooked = first_of(&state, "hooked")?;
    let now = bed.world.clock().now();
    bed.put_event(&end_to_end::events::rebalance(&exchanged, now)?)
        .await?;
    bed.world
        .happen(&json!({ "kind": "terminate-with-hook", "instance": hooked }))
        .await?;
    let closes = tokio::time::Instant::now() + 2 * PATIENCE;
    let of = |events: &[Value], signal: &str| -> Option<Value> {
        let mut of_signal = events.iter().filter(|event| event["detail"]["signal"] == signal);
        of_signal.next().map(|event| event["detail"].clone())
    };
    loop {
        let events = announced(&bed).await?;
        let both = (
            of(&events, "rebalance-recommendation"),
            of(&events, "terminate-lifecycle-action"),
        );
        if let (Some(exchange), Some(hook)) = both {
            assert_eq!(
                (&exchange["instance-id"], &exchange["outcome"]),
                (&json!(exchanged), &json!("handed-off"))
            );
            assert_eq!(
                (&hook["instance-id"], &hook["outcome"]),
                (&json!(hooked), &json!("handed-off"))
            );
            break;
        }
        assert!(tokio::time::Instant::now() < closes, "{events:?}");
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    assert!(
        bed.world.notifications().await?.is_empty(),
        "by default nobody is mailed of what went well"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_event_and_the_message_say_what_became_of_the_group() -> Result<()> {
    for dry in [false, true] {
        let bed = announcing(Options::default().parameter("Announcements", "all")).await?;
        let instance = first_of(&bed.world.state().await?, GROUP)?;
        let begun = bed.world.clock().now();
        if dry {
            let what = json!({ "kind": "no-spot-capacity", "seconds": 7200 });
            bed.world.happen(&what).await?;
        }
        bed.put_event(&warning(&bed, "aws.ec2", 1, &instance)).await?;
        if dry {
            let late = begun.as_millisecond() + 2_700_000;
            bed.play_until(late as f64).await?;
        }
        bed.until_settled(PATIENCE).await?;

        let mut events = announced(&bed).await?;
        events.sort_by_key(|event| event["time"].to_string());
        let last = &events.last().context("it is announced")?["detail"];
        let group = &last["work"]["group"];
        let sentence = match dry {
            false => {
                assert_eq!(group["is"], json!("whole"), "{last}");
                format!(
                    "{GROUP} was whole again within {} s of the first notice",
                    group["after-seconds"]
                )
            }
            true => {
                assert_eq!(last["outcome"], json!("still-short"), "{last}");
                assert_eq!(
                    (&group["is"], &group["short-of"]),
                    (&json!("short"), &json!(1)),
                    "{last}"
                );
                format!("{GROUP} was still short of 1 after 30 minutes")
            }
        };
        let notifications = bed.world.notifications().await?;
        // EC2 does not take it here, which is told besides.
        let runs_on =
            |one: &&Notification| one.subject.as_deref().is_some_and(|it| it.starts_with("RUNS ON"));
        let mut mails = notifications.iter().filter(|one| !runs_on(one));
        let mail = &mails.next_back().context("it is mailed")?.message;
        for text in [last["text"].as_str().context("a text")?, mail] {
            assert!(text.contains(&sentence), "{sentence}: {text}");
        }
    }
    Ok(())
}

/// EC2 takes one of two instances and leaves the other, as after a drill for real.
#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_runs_on_outside_of_its_group_is_told() -> Result<()> {
    let bed = announcing(Options::default()).await?;
    let state = bed.world.state().await?;
    let group = state.group(GROUP).context("group")?;
    let [taken, left] = [0, 1].map(|index| group.instances[index].id.clone());
    let begun = bed.world.clock().now();
    for (number, instance) in [(1, &taken), (2, &left)] {
        bed.put_event(&warning(&bed, "aws.ec2", number, instance)).await?;
    }
    let ends = event(
        "aws.ec2",
        "EC2 Instance State-change Notification",
        begun + jiff::SignedDuration::from_secs(60),
        json!({ "instance-id": taken, "state": "shutting-down" }),
    );
    bed.put_event(&ends).await?;
    bed.play_until((begun.as_millisecond() + 840_000) as f64).await?;
    bed.until_settled(PATIENCE).await?;

    let mut notifications = bed.world.notifications().await?;
    // On a busy machine, the other instance's work may be late. That is announced as well.
    notifications.retain(|one| one.subject.as_deref().is_some_and(|it| it.starts_with("RUNS ON")));
    assert_eq!(
        subjects(&notifications),
        [format!("RUNS ON: {left}, which left {GROUP}")]
    );
    let command = format!("aws ec2 terminate-instances --instance-ids {left}");
    let told = &notifications[0].message;
    assert!(told.contains(&command), "{told}");
    Ok(())
}
