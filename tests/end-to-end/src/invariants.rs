//! What holds however the signals came.

use anyhow::{Result, ensure};
use testbed::State;
use testbed::state::Instance;

use crate::dead_letters;
use crate::scene::{Scene, serving};

/// Everything that has nothing to do with the lost instance is as it was, and nothing is left half done.
pub fn nothing_else_is_touched(scene: &Scene, after: &State, lost: &[&str]) -> Result<()> {
    let story = scene.story();
    for before in &scene.before.groups {
        let Some(group) = after.group(&before.name) else {
            anyhow::bail!("group {} is gone", before.name);
        };
        ensure!(
            group.desired == before.desired,
            "{}: desired capacity {} instead of {}\n{story}",
            before.name,
            group.desired,
            before.desired
        );
        ensure!(
            group.tags == before.tags,
            "{}: tags {:?}\n{story}",
            before.name,
            group.tags
        );
        let gone: Vec<&str> = serving(before)
            .into_iter()
            .filter(|id| !lost.contains(id) && !serving(group).contains(id))
            .collect();
        ensure!(
            gone.is_empty(),
            "{}: {gone:?} serve no more\n{story}",
            before.name
        );
    }
    for group in ["web", "rebalancing", "mixed", "legacy"] {
        let is_lost = |state: &State| {
            let members = state
                .group(group)
                .map(|group| group.instances.clone())
                .unwrap_or_default();
            members.iter().any(|member| lost.contains(&member.id.as_str()))
        };
        if !is_lost(&scene.before) {
            ensure!(
                after.group(group) == scene.before.group(group),
                "group {group} is changed\n{story}"
            );
        }
    }
    ensure!(
        after.cluster("web") == scene.before.cluster("web"),
        "cluster web is changed\n{story}"
    );
    let tasks = scene.before.clusters.iter().flat_map(|cluster| &cluster.tasks);
    for before in tasks.filter(|task| !lost.contains(&task.instance.as_deref().unwrap_or_default())) {
        let mut now = after.clusters.iter().flat_map(|cluster| &cluster.tasks);
        let runs = now.any(|task| task.arn == before.arn && task.desired_status == "RUNNING");
        ensure!(
            runs,
            "a task on another instance was stopped: {before:?}\n{story}"
        );
    }
    for cluster in &after.clusters {
        let other = cluster
            .container_instances
            .iter()
            .find(|one| one.status != "ACTIVE" && !lost.contains(&one.instance.as_str()));
        ensure!(
            other.is_none(),
            "cluster {}: {other:?} is not active\n{story}",
            cluster.name
        );
        for service in &cluster.services {
            ensure!(
                service.running == service.desired,
                "{service:?} is not complete\n{story}"
            );
        }
    }
    let begun = after
        .lifecycle_actions
        .iter()
        .find(|action| action.result.as_deref() != Some("CONTINUE"));
    ensure!(
        begun.is_none(),
        "a lifecycle action is not completed: {begun:?}\n{story}"
    );
    ensure!(
        dead_letters(after).is_empty(),
        "dead letters: {:?}\n{story}",
        dead_letters(after)
    );
    Ok(())
}

/// Every instance that was in a group, or was launched since, runs in a group or has ended.
pub fn nobody_runs_outside_a_group(scene: &Scene, after: &State) -> Result<()> {
    let was_outside = |id: &str| scene.before.instance(id).is_some_and(|one| one.group.is_none());
    let outside: Vec<_> = after
        .instances
        .iter()
        .filter(|one| one.state == "running" && one.group.is_none() && !was_outside(&one.id))
        .collect();
    ensure!(
        outside.is_empty(),
        "these run outside every group: {outside:?}\n{}",
        scene.story()
    );
    Ok(())
}

/// This many instances were launched, and all of them serve in the group.
pub fn launched_for(scene: &Scene, after: &State, group: &str, number: usize) -> Result<()> {
    of_those_launched(scene, after, group, number, |_| true)
}

/// This many of the launched instances have not been terminated again, and all of them serve in the group.
pub fn remaining_for(scene: &Scene, after: &State, group: &str, number: usize) -> Result<()> {
    of_those_launched(scene, after, group, number, |one| one.state != "terminated")
}

fn of_those_launched(
    scene: &Scene,
    after: &State,
    group: &str,
    number: usize,
    counts: fn(&Instance) -> bool,
) -> Result<()> {
    let new: Vec<_> = scene
        .new_instances(after)
        .into_iter()
        .filter(|one| one.group.as_deref() == Some(group) || one.group.is_none())
        .filter(|one| counts(one))
        .collect();
    ensure!(
        new.len() == number,
        "{} launched instead of {number}: {new:?}\n{}",
        new.len(),
        scene.story()
    );
    let serves = |id: &str| {
        after
            .group(group)
            .is_some_and(|group| serving(group).contains(&id))
    };
    let stray: Vec<_> = new.iter().filter(|one| !serves(&one.id)).collect();
    ensure!(
        stray.is_empty(),
        "launched and not in service: {stray:?}\n{}",
        scene.story()
    );
    Ok(())
}
