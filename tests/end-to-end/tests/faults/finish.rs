//! How a scenario ends: what became of everything, as far as it does not depend on ids and moments.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use end_to_end::scene::{PATIENCE, Scene, serving};
use end_to_end::untouched;
use serde_json::{Value, json};
use spot_handoff::report::{Outcome, Report};
use testbed::state::Task;
use testbed::{Event, Options, Outcome as Ended, State};

use crate::scenarios::Scenario;

/// Nothing goes wrong.
pub async fn nothing(_: &Scene) -> Result<()> {
    Ok(())
}

/// A scenario that is over.
pub struct Finish {
    /// The world.
    pub scene: Scene,
    /// What everything is like at the end.
    pub after: State,
    gone: Vec<String>,
}

/// Plays a scenario to its end. What goes wrong in it is ordered `before`, or happens `meanwhile`.
pub async fn play(
    scenario: Scenario,
    options: Options,
    before: impl AsyncFnOnce(&Scene) -> Result<()>,
    meanwhile: impl AsyncFnOnce(&Scene) -> Result<()>,
) -> Result<Finish> {
    let scene = Scene::start(options).await?;
    scenario.prepare(&scene).await?;
    before(&scene).await?;
    let gone = scenario.begin(&scene).await?;
    meanwhile(&scene).await?;
    let after = if scenario.is_side_by_side() {
        scene
            .bed
            .until_settled(PATIENCE)
            .await
            .with_context(|| scene.story())?;
        scene.state().await?
    } else {
        scene.settled().await?
    };
    Ok(Finish { scene, after, gone })
}

impl Finish {
    /// What became of everything.
    pub fn shape(&self) -> Value {
        let (before, after) = (&self.scene.before, &self.after);
        let known: BTreeSet<&str> = before.instances.iter().map(|one| one.id.as_str()).collect();
        let groups: BTreeMap<&str, Value> = after
            .groups
            .iter()
            .map(|group| {
                let serving = serving(group);
                let old: BTreeSet<_> = serving.iter().filter(|id| known.contains(*id)).collect();
                let new = serving.len() - old.len();
                let tags = &group.tags;
                (
                    group.name.as_str(),
                    json!({ "desired": group.desired, "old": old, "new": new, "tags": tags }),
                )
            })
            .collect();
        let instances: BTreeMap<_, _> = after
            .instances
            .iter()
            .filter(|one| known.contains(one.id.as_str()))
            .map(|one| (&one.id, &one.state))
            .collect();
        let dead: BTreeMap<_, _> = after
            .queues
            .iter()
            .filter(|queue| !queue.bodies.is_empty())
            .map(|queue| (&queue.name, queue.bodies.len()))
            .collect();
        let actions: Vec<_> = after
            .lifecycle_actions
            .iter()
            .map(|one| (&one.instance, &one.result))
            .collect();
        json!({
            "groups": groups,
            "instances": instances,
            "launched": self.scene.new_instances(after).len(),
            "targets": self.targets(),
            "container instances": self.container_instances(),
            "tasks": self.tasks(),
            "lifecycle actions": actions,
            "dead letters": dead,
        })
    }

    /// Of the targets that were there, those that still take traffic.
    fn targets(&self) -> Value {
        let of = |state: &State| -> BTreeSet<String> {
            let groups = state.target_groups.iter();
            groups
                .flat_map(|group| {
                    let serving = group.targets.iter().filter(|target| target.state != "draining");
                    serving.map(|target| format!("{} {}:{}", group.name, target.id, target.port.unwrap_or(0)))
                })
                .collect()
        };
        json!(
            of(&self.scene.before)
                .intersection(&of(&self.after))
                .collect::<Vec<_>>()
        )
    }

    fn container_instances(&self) -> Value {
        let known: BTreeSet<&str> = self
            .scene
            .before
            .instances
            .iter()
            .map(|one| one.id.as_str())
            .collect();
        let of_clusters = self
            .after
            .clusters
            .iter()
            .flat_map(|cluster| &cluster.container_instances);
        let old = of_clusters.filter(|one| known.contains(one.instance.as_str()));
        json!(
            old.map(|one| (&one.instance, &one.status))
                .collect::<BTreeMap<_, _>>()
        )
    }

    /// What became of the standalone tasks, and how many of each service run.
    fn tasks(&self) -> Value {
        let known: BTreeSet<&str> = all_tasks(&self.scene.before)
            .map(|task| task.arn.as_str())
            .collect();
        let standalone = all_tasks(&self.after).filter(|task| task.kind == "standalone");
        let mut tasks: BTreeMap<String, u32> = BTreeMap::new();
        for task in standalone {
            let age = if known.contains(task.arn.as_str()) {
                "old"
            } else {
                "new"
            };
            let by_us = task
                .stopped_reason
                .as_deref()
                .is_some_and(|why| why.starts_with("spot-handoff"));
            let how = if by_us {
                "stopped by a hand-off"
            } else {
                &task.desired_status
            };
            *tasks.entry(format!("{age} {} {how}", task.family)).or_default() += 1;
        }
        let services = self.after.clusters.iter().flat_map(|cluster| &cluster.services);
        let services: BTreeMap<_, _> = services.map(|one| (&one.name, one.running)).collect();
        json!({ "standalone": tasks, "services": services })
    }

    /// What holds whatever went wrong: no crash, and nothing touched that nobody named.
    pub fn sound(&self) -> Result<()> {
        let story = self.scene.story();
        for entry in self.scene.bed.journal().since(0) {
            match entry.event {
                Event::Text(text) => anyhow::bail!("{} wrote: {text}\n{story}", entry.function),
                Event::Ended { outcome, .. } => {
                    let fine = !outcome.is_failure() || outcome == Ended::Crashed("killed".to_owned());
                    ensure!(fine, "{} {outcome}\n{story}", entry.function);
                }
                _ => {}
            }
        }
        let (before, after) = (&self.scene.before, &self.after);
        ensure!(untouched(before) == untouched(after), "web is touched\n{story}");
        let is_gone = |id: &str| self.gone.iter().any(|gone| gone == id);
        for task in all_tasks(before).filter(|task| !task.instance.as_deref().is_some_and(is_gone)) {
            let now = all_tasks(after).find(|now| now.arn == task.arn);
            let runs = now.is_some_and(|now| now.desired_status == "RUNNING");
            ensure!(runs, "a task elsewhere was stopped: {task:?}\n{story}");
        }
        for group in &before.groups {
            let now = after.group(&group.name).map(serving).unwrap_or_default();
            let lost = serving(group)
                .into_iter()
                .find(|id| !is_gone(id) && !now.contains(id));
            ensure!(lost.is_none(), "{lost:?} serves no more\n{story}");
        }
        let mut others = after
            .clusters
            .iter()
            .flat_map(|cluster| &cluster.container_instances);
        let other = others.find(|one| one.status != "ACTIVE" && !is_gone(&one.instance));
        ensure!(other.is_none(), "{other:?} was drained\n{story}");
        // A replacement for each, and where an exchange failed for good one more may have come for it.
        let new = self.scene.new_instances(after);
        let running = new.iter().filter(|one| one.state == "running").count();
        ensure!(
            running <= self.gone.len(),
            "{running} launched for {:?}\n{story}",
            self.gone
        );
        Ok(())
    }

    /// The dead letters of a function.
    pub fn dead_letters(&self, function: &str) -> Result<usize> {
        let name = &self.scene.bed.dead_letter_queue(function)?.name;
        Ok(self.after.queue(name).map_or(0, |queue| queue.bodies.len()))
    }

    /// Why the function's reports failed.
    pub fn reasons(&self, function: &str) -> String {
        let reports = self.scene.reports_of(function);
        let failed = reports.iter().filter(|report| report.outcome == Outcome::Failed);
        failed.map(reasons_of).collect::<Vec<_>>().join("\n")
    }
}

fn reasons_of(report: &Report) -> String {
    let errors = report.actions.iter().filter_map(|line| line.error.clone());
    report
        .problems
        .iter()
        .cloned()
        .chain(errors)
        .collect::<Vec<_>>()
        .join("; ")
}

fn all_tasks(state: &State) -> impl Iterator<Item = &Task> {
    state.clusters.iter().flat_map(|cluster| &cluster.tasks)
}
