//! A failure of one message of a batch does not affect the other messages of the batch.

use anyhow::{Context, Result, ensure};
use end_to_end::scene::Scene;
use serde_json::json;
use spot_handoff::report::Outcome;
use testbed::{FUNCTIONS, MappingOptions, Options};

use crate::finish::{Finish, nothing, play};
use crate::scenarios::{Scenario, WINDOW};
use crate::several::{all_well, several};

/// Calls about the group, the cluster or a target group of only one of the two instances, with words that only these
/// calls contain.
const CALLS: &[(&str, &str, &[&str])] = &[
    (
        "deregister-targets",
        "inference",
        &[
            "ListContainerInstances",
            "DescribeContainerInstances",
            "ListTasks",
            "DescribeTasks",
            "DescribeServices",
        ],
    ),
    // A target group of a service. The target would leave those of the group anyway when the instance is detached.
    (
        "deregister-targets",
        "classifier",
        &["DescribeTargetHealth", "DeregisterTargets"],
    ),
    (
        "drain-tasks",
        "inference",
        &[
            "ListContainerInstances",
            "DescribeContainerInstances",
            "UpdateContainerInstancesState",
            "ListTasks",
            "DescribeTasks",
            "StopTask",
            "RunTask",
        ],
    ),
    ("replace-capacity", "inference", &["DetachInstances"]),
];

fn options() -> Options {
    Options {
        mapping: MappingOptions {
            window_seconds: Some(WINDOW),
            ..MappingOptions::default()
        },
        ..Scenario::TwoOfABatch.options()
    }
}

/// A call of the one that always fails.
async fn fails(function: &str, words: &str, action: &str, undisturbed: &Finish) -> Result<()> {
    let order = async |scene: &Scene| {
        let order = json!([{
            "caller": function,
            "action": action,
            "match": words,
            "fault": { "kind": "denied" },
        }]);
        scene.bed.world.faults(&order).await
    };
    let finish = play(Scenario::TwoOfABatch, options(), order, nothing).await?;
    finish.sound()?;
    let story = || finish.scene.story();
    let [one, other] = finish.gone.as_slice() else {
        anyhow::bail!("two instances go, not {:?}", finish.gone);
    };
    let reports = finish.scene.reports_of(function);
    let of = |instance: &str| {
        let mut reports = reports.iter();
        reports
            .find(|report| report.instance == instance)
            .with_context(|| {
                format!(
                    "{function} has no report about {instance}\n{}",
                    finish.scene.story()
                )
            })
    };
    ensure!(
        of(one)?.started_at == of(other)?.started_at,
        "they were not in the same batch\n{}",
        story()
    );
    let failures = |instance: &str| {
        let of_it = reports.iter().filter(|report| report.instance == instance);
        of_it.filter(|report| report.outcome == Outcome::Failed).count()
    };
    // Once the instance is gone, nothing may be left of the failed part.
    ensure!(failures(one) > 0, "{one} did not fail\n{}", story());
    ensure!(failures(other) == 0, "{other} failed as well\n{}", story());
    let (wanted, found) = (undisturbed.shape_of(other), finish.shape_of(other));
    ensure!(
        found == wanted,
        "{other} is {found}\ninstead of {wanted}\n{}",
        story()
    );
    for elsewhere in FUNCTIONS.into_iter().filter(|elsewhere| *elsewhere != function) {
        let (wanted, found) = (undisturbed.shape_of(one), finish.shape_of(one));
        ensure!(
            found[elsewhere] == wanted[elsewhere],
            "{elsewhere} did otherwise with {one}: {}\ninstead of {}\n{}",
            found[elsewhere],
            wanted[elsewhere],
            story()
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_about_one_message_leaves_the_others_of_its_batch_alone() -> Result<()> {
    let undisturbed = play(Scenario::TwoOfABatch, options(), nothing, nothing).await?;
    undisturbed.sound()?;
    let undisturbed = &undisturbed;
    let calls = CALLS.iter().flat_map(|(function, words, actions)| {
        actions.iter().map(move |action| (*function, *words, *action))
    });
    let plays = calls.map(|(function, words, action)| async move {
        let played = fails(function, words, action, undisturbed).await;
        played.with_context(|| format!("{action} of {function}"))
    });
    all_well("batches", several(plays).await)
}
