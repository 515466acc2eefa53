//! Before and after: what is different in a world, and what there is of the instances concerned.

use std::collections::BTreeMap;

use testbed::State;
use testbed::state::{Cluster, Group, Task};

use super::names::short_id;
use crate::style;

/// One thing in a world and how it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Fact {
    value: String,
    /// Whether it is part of the story even if it stays as it is.
    concerned: bool,
}

/// Sections in the order of the table, and the names in them.
type Facts = BTreeMap<(Section, String), Fact>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Section {
    Group,
    Instance,
    Target,
    ContainerInstance,
    Task,
    LifecycleAction,
}

/// One row of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// What it is about.
    pub what: String,
    /// How it stood.
    pub before: String,
    /// How it stands.
    pub after: String,
}

/// The rows that tell the story of these instances: theirs, and every one that changed.
pub fn compare(before: &State, after: &State, instances: &[String]) -> Vec<Row> {
    let addresses = addresses(before, instances);
    let before = facts(before, instances, &addresses);
    let after = facts(after, instances, &addresses);
    let mut keys: Vec<_> = before.keys().chain(after.keys()).collect();
    keys.sort();
    keys.dedup();

    let value = |facts: &Facts, key| {
        let fact: Option<&Fact> = facts.get(key);
        fact.map_or("-".to_owned(), |fact| fact.value.clone())
    };
    keys.into_iter()
        .filter(|&key| {
            let concerned = before.get(key).is_some_and(|fact| fact.concerned);
            concerned || before.get(key).map(|f| &f.value) != after.get(key).map(|f| &f.value)
        })
        .map(|key| Row {
            what: key.1.clone(),
            before: value(&before, key),
            after: value(&after, key),
        })
        .collect()
}

/// The table, without a trailing line break.
pub fn render(rows: &[Row]) -> String {
    let width = |cell: fn(&Row) -> &str, title: &str| {
        let cells = rows.iter().map(|row| cell(row).chars().count());
        cells.chain([title.len()]).max().unwrap_or(0)
    };
    let what = width(|row| &row.what, "");
    let before = width(|row| &row.before, "before");
    let mut lines = vec![style::dim(&format!("{:what$}  {:before$}  after", "", "before"))];
    for row in rows {
        let changed = row.before != row.after;
        let after = if changed {
            style::strong(&row.after)
        } else {
            row.after.clone()
        };
        lines.push(format!(
            "{:what$}  {}  {after}",
            row.what,
            style::dim(&format!("{:before$}", row.before))
        ));
    }
    lines.join("\n")
}

fn facts(state: &State, instances: &[String], addresses: &[String]) -> Facts {
    let ours = |id: &str| instances.iter().any(|instance| instance == id);
    let mut facts = Facts::new();
    let mut add = |section, name: String, value: String, concerned| {
        facts.insert((section, name), Fact { value, concerned });
    };

    for group in &state.groups {
        let concerned = group.instances.iter().any(|member| ours(&member.id));
        let name = format!("group {}", group.name);
        add(Section::Group, name, group_value(group), concerned);
    }
    for instance in &state.instances {
        let member = state.group_of(&instance.id);
        let value = match member.and_then(|group| Some((group, group.member(&instance.id)?))) {
            Some((group, member)) => {
                format!("{}, {} in {}", instance.state, member.lifecycle, group.name)
            }
            None => format!("{}, in no group", instance.state),
        };
        let name = format!("instance {}", instance.id);
        add(Section::Instance, name, value, ours(&instance.id));
    }
    for group in &state.target_groups {
        for target in &group.targets {
            let port = target.port.map(|port| format!(":{port}"));
            let name = format!(
                "target {}{} in {}",
                target.id,
                port.unwrap_or_default(),
                group.name
            );
            let concerned = ours(&target.id) || addresses.contains(&target.id);
            add(Section::Target, name, target.state.clone(), concerned);
        }
    }
    for cluster in &state.clusters {
        for registered in &cluster.container_instances {
            let name = format!("container instance {} in {}", registered.instance, cluster.name);
            let value = format!("{}, {} tasks", registered.status, registered.running_tasks);
            let concerned = ours(&registered.instance);
            add(Section::ContainerInstance, name, value, concerned);
        }
        for task in &cluster.tasks {
            let concerned = task.instance.as_deref().is_some_and(ours);
            add(
                Section::Task,
                task_name(task, cluster),
                task_value(task),
                concerned,
            );
        }
    }
    for action in &state.lifecycle_actions {
        let name = format!("lifecycle hook {} of {}", action.hook, action.instance);
        let value = match (&action.result, action.heartbeats) {
            (Some(result), _) => format!("completed: {result}"),
            (None, 0) => "waiting".to_owned(),
            (None, heartbeats) => format!("waiting, {heartbeats} heartbeats"),
        };
        add(Section::LifecycleAction, name, value, ours(&action.instance));
    }
    facts
}

/// The addresses of an instance: in awsvpc mode a task is a target by its own address.
fn addresses(state: &State, instances: &[String]) -> Vec<String> {
    let found = instances.iter().filter_map(|id| state.instance(id));
    found.filter_map(|instance| instance.private_ip.clone()).collect()
}

fn group_value(group: &Group) -> String {
    let mut lifecycles = BTreeMap::<&str, usize>::new();
    for member in &group.instances {
        *lifecycles.entry(&member.lifecycle).or_default() += 1;
    }
    let counted: Vec<String> = lifecycles
        .iter()
        .map(|(lifecycle, count)| format!("{count} {lifecycle}"))
        .collect();
    match counted.as_slice() {
        [] => format!("desired {}, empty", group.desired),
        counted => format!("desired {}, {}", group.desired, counted.join(", ")),
    }
}

fn task_name(task: &Task, cluster: &Cluster) -> String {
    let id = task.arn.rsplit('/').next().unwrap_or_default();
    format!("task {} {} in {}", task.family, short_id(id), cluster.name)
}

fn task_value(task: &Task) -> String {
    if task.last_status == task.desired_status {
        task.last_status.clone()
    } else {
        format!("{}, to be {}", task.last_status, task.desired_status)
    }
}
