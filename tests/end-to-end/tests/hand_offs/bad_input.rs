//! Bad messages among good ones, through queue, event source mapping and function. What becomes of every kind of bad
//! input is in `docs/bad-input.md`, and tested by `shared/tests/bad_input.rs`.

use anyhow::{Context, Result};
use end_to_end::{GROUP, PATIENCE, dead_letters, reports_of, still, untouched, warning};
use serde_json::{Value, json};
use spot_handoff::report::Outcome;
use testbed::{Event, Options, Outcome as Answer, Testbed};

/// The lines that the functions logged.
fn log(bed: &Testbed) -> Vec<String> {
    let line = |event| match event {
        Event::Log(line) => line["message"].as_str().map(str::to_owned),
        _ => None,
    };
    let entries = bed.journal().since(0).into_iter();
    entries.filter_map(|entry| line(entry.event)).collect()
}

/// Message bodies, each with what the log has to say of it.
type Logged = Vec<(String, &'static str)>;

/// Bad messages about an instance: some are given back, some are left alone.
fn bad(good: &Value) -> (Logged, Logged) {
    let with = |pointer: &str, value: Value| {
        let mut event = good.clone();
        if let Some(field) = event.pointer_mut(pointer) {
            *field = value;
        }
        event.to_string()
    };
    let twice = good.to_string().replace(
        "\"instance-id\"",
        "\"instance-id\":\"i-00000000000000000\",\"instance-id\"",
    );
    let given_back = vec![
        ("EC2 Spot Instance Interruption Warning".to_owned(), "not JSON"),
        (with("/detail", Value::Null), "field `detail`: expected an object"),
        (
            with("/detail/instance-id", json!(7)),
            "field `detail.instance-id`: invalid type",
        ),
        (with("/detail/instance-id", json!("vol-1")), "found `vol-1`"),
        (
            with("/detail/instance-action", json!("explode")),
            "field `detail.instance-action`",
        ),
        (with("/time", json!("yesterday")), "field `time`"),
        (with("/id", json!("x".repeat(100_000))), "field `id`"),
        (twice, "field `detail.instance-id`: appears twice"),
    ];
    let left_alone = vec![
        (
            with("/account", json!("999999999999")),
            "of account `999999999999`, not `123456789012`",
        ),
        (
            with("/region", json!("eu-central-1")),
            "of region `eu-central-1`, not `us-east-1`",
        ),
        (with("/source", json!("somebody.else")), "ignored: somebody.else"),
    ];
    (given_back, left_alone)
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_messages_end_as_dead_letters_and_the_good_ones_among_them_are_done_at_once() -> Result<()> {
    // Five receives at a visibility timeout of 20 s take long; the clock runs fast.
    let bed = still(Options::default().speed(20.0)).await?;
    let before = bed.world.state().await?;
    let group = before.group(GROUP).context("group")?;
    let [first, last, bystander] = [0, 1, 2].map(|n| group.instances[n].id.as_str());
    let (given_back, left_alone) = bad(&warning(&bed, bystander));
    let good = [warning(&bed, first).to_string(), warning(&bed, last).to_string()];
    let among = given_back.iter().chain(&left_alone).map(|(body, _)| body);
    for body in [&good[0]].into_iter().chain(among).chain([&good[1]]) {
        bed.send("replace-capacity", body).await?;
    }
    bed.until_settled(PATIENCE).await?;
    let after = bed.world.state().await?;

    // One report each: done in the first delivery, and not again with those that came back.
    let reports = reports_of(&bed, "replace-capacity");
    let done: Vec<_> = reports
        .iter()
        .map(|report| (report.instance.as_str(), report.outcome))
        .collect();
    assert_eq!(done.len(), 2, "{done:?}");
    for instance in [first, last] {
        assert!(done.contains(&(instance, Outcome::Done)), "{done:?}");
        assert!(after.group_of(instance).is_none());
    }
    assert!(after.group_of(bystander).is_some(), "no bad message was acted on");
    assert_eq!(untouched(&after), untouched(&before));

    let mut dead = dead_letters(&after);
    let mut expected: Vec<String> = given_back.iter().map(|(body, _)| body.clone()).collect();
    dead.sort();
    expected.sort();
    assert_eq!(dead, expected, "those that cannot be read, and no other");
    let log = log(&bed);
    for (times, (_, words)) in given_back
        .iter()
        .map(|one| (5, one))
        .chain(left_alone.iter().map(|one| (1, one)))
    {
        let said = log.iter().filter(|line| line.contains(words)).count();
        assert_eq!(said, times, "{words}: {log:#?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sample_batch_is_answered_with_its_bad_messages_only() -> Result<()> {
    let bed = still(Options {
        pollers: 0,
        ..Options::default()
    })
    .await?;
    let batch: Value = serde_json::from_str(include_str!("../../../../events/sqs-batch-mixed.json"))?;
    let Answer::Answer(answer) = bed.invoke("replace-capacity", &batch).await? else {
        anyhow::bail!("no answer");
    };
    let given_back =
        ["message-instance-id-not-text", "message-not-json"].map(|id| json!({ "itemIdentifier": id }));
    assert_eq!(
        serde_json::from_str::<Value>(&answer)?,
        json!({ "batchItemFailures": given_back })
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_batch_is_done() -> Result<()> {
    let bed = still(Options {
        pollers: 0,
        ..Options::default()
    })
    .await?;
    for function in ["deregister-targets", "drain-tasks", "replace-capacity"] {
        let Answer::Answer(answer) = bed.invoke(function, &json!({ "Records": [] })).await? else {
            anyhow::bail!("no answer");
        };
        assert_eq!(
            serde_json::from_str::<Value>(&answer)?,
            json!({ "batchItemFailures": [] })
        );
    }
    Ok(())
}
