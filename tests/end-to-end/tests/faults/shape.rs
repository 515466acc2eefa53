//! How a scenario ends: the state of everything, as far as it does not depend on ids and moments. Each function has
//! its own part, named after it.

use std::collections::{BTreeMap, BTreeSet};

use end_to_end::scene::serving;
use serde_json::{Value, json};
use testbed::State;
use testbed::state::{Instance, TargetGroup};

use crate::finish::{Finish, all_tasks};

impl Finish {
    /// What became of everything.
    pub fn shape(&self) -> Value {
        let dead: BTreeMap<_, _> = self
            .after
            .queues
            .iter()
            .filter(|queue| !queue.bodies.is_empty())
            .map(|queue| (&queue.name, queue.bodies.len()))
            .collect();
        json!({
            "deregister-targets": self.targets(),
            "drain-tasks": {
                "container instances": self.container_instances(),
                "tasks": self.tasks(),
                "lifecycle actions": self.lifecycle_actions(),
            },
            "replace-capacity": {
                "groups": self.groups(),
                "instances": self.instances(),
                "launched": self.scene.new_instances(&self.after).len(),
            },
            "run-commands": self.scripts(),
            "announce-hand-offs": self.told.iter().collect::<BTreeSet<_>>(),
            "dead letters": dead,
        })
    }

    /// What became of one instance and what was on it.
    pub fn shape_of(&self, instance: &str) -> Value {
        let after = &self.after;
        let status = after.registration(instance).map(|(_, found)| &found.status);
        let member = after.group_of(instance).map(|group| &group.name);
        let before = self.scene.before.instance(instance);
        let targets = after.target_groups.iter().map(|group| {
            let serving = targets_of(group).filter(|(id, _)| {
                let address = before.and_then(|one| one.private_ip.as_deref());
                *id == instance || Some(*id) == address
            });
            (&group.name, serving.count())
        });
        let mut tasks: Vec<_> = self
            .after
            .tasks_on(instance)
            .map(|task| (&task.family, &task.desired_status))
            .collect();
        tasks.sort();
        json!({
            "deregister-targets": targets.collect::<BTreeMap<_, _>>(),
            "drain-tasks": { "status": status, "tasks": tasks },
            "replace-capacity": member,
        })
    }

    fn is_known(&self, id: &str) -> bool {
        self.scene.before.instance(id).is_some()
    }

    fn groups(&self) -> BTreeMap<&str, Value> {
        let groups = self.after.groups.iter().map(|group| {
            let (old, new): (BTreeSet<_>, BTreeSet<_>) =
                serving(group).into_iter().partition(|id| self.is_known(id));
            let what = json!({ "desired": group.desired, "old": old, "new": new.len(), "tags": group.tags });
            (group.name.as_str(), what)
        });
        groups.collect()
    }

    fn instances(&self) -> BTreeMap<&str, &str> {
        let known = |one: &&Instance| self.is_known(&one.id);
        let instances = self.after.instances.iter().filter(known);
        instances
            .map(|one| (one.id.as_str(), one.state.as_str()))
            .collect()
    }

    /// Which script ran where and how often, how it ended, and what it saved.
    fn scripts(&self) -> BTreeMap<&str, Value> {
        let mut of_instances: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for script in &self.after.scripts {
            let ends = of_instances.entry(&script.instance).or_default();
            ends.push(&script.status);
        }
        let saved = |instance: &str| {
            let mut scripts = self.after.scripts.iter();
            scripts.any(|script| script.instance == instance && script.files.contains_key("saved"))
        };
        let of_instances = of_instances.into_iter();
        of_instances
            .map(|(instance, ends)| (instance, json!({ "ends": ends, "saved": saved(instance) })))
            .collect()
    }

    fn lifecycle_actions(&self) -> Vec<(&String, &Option<String>)> {
        let actions = self.after.lifecycle_actions.iter();
        actions.map(|one| (&one.instance, &one.result)).collect()
    }

    /// The targets from the start that still take traffic.
    fn targets(&self) -> BTreeSet<String> {
        let of = |state: &State| -> BTreeSet<String> {
            let groups = state.target_groups.iter();
            groups
                .flat_map(|group| targets_of(group).map(|(id, port)| format!("{} {id}:{port}", group.name)))
                .collect()
        };
        &of(&self.scene.before) & &of(&self.after)
    }

    fn container_instances(&self) -> BTreeMap<&str, &str> {
        let clusters = self.after.clusters.iter();
        clusters
            .flat_map(|cluster| &cluster.container_instances)
            .filter(|one| self.is_known(&one.instance))
            .map(|one| (one.instance.as_str(), one.status.as_str()))
            .collect()
    }

    /// What became of the standalone tasks, and how many of each service run.
    fn tasks(&self) -> Value {
        let known: BTreeSet<&str> = all_tasks(&self.scene.before)
            .map(|task| task.arn.as_str())
            .collect();
        let mut tasks: BTreeMap<String, u32> = BTreeMap::new();
        for task in all_tasks(&self.after).filter(|task| task.kind == "standalone") {
            let is_old = known.contains(task.arn.as_str());
            let age = if is_old { "old" } else { "new" };
            let why = task.stopped_reason.as_deref().unwrap_or_default();
            let how = if why.starts_with("spot-handoff") {
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
}

/// The targets that take traffic.
fn targets_of(group: &TargetGroup) -> impl Iterator<Item = (&str, u16)> {
    let serving = group.targets.iter().filter(|target| target.state != "draining");
    serving.map(|target| (target.id.as_str(), target.port.unwrap_or(0)))
}

/// What differs from what should be, to help find out why.
pub fn difference(wanted: &Value, found: &Value) -> String {
    let (Some(fields), Some(_)) = (wanted.as_object(), found.as_object()) else {
        return format!("  {found}\n    instead of {wanted}\n");
    };
    let differing = fields.iter().filter(|(name, value)| found[*name] != **value);
    differing
        .map(|(name, value)| format!("  {name}:\n{}", difference(value, &found[name])))
        .collect()
}
