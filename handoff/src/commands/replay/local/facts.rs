//! The state of a world as named facts, to compare two moments.

use std::collections::BTreeMap;

use testbed::State;
use testbed::state::{Cluster, ContainerInstance, Group, LifecycleAction, Target, Task};

use crate::timeline::names::short_id;
use crate::words::count;

/// The name of a fact, ordered as in the table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    section: Section,
    /// What it is about, in words for people.
    pub name: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Section {
    Group,
    Instance,
    Target,
    ContainerInstance,
    Task,
    LifecycleAction,
}

/// The value of a fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    value: String,
    /// The part of the value that counts as a change. A busier neighbour is not part of the story.
    pub essence: String,
    /// Whether it is part of the story even if it does not change.
    pub concerned: bool,
}

/// The facts of one moment.
pub struct Facts<'a> {
    /// The instances of the story.
    instances: &'a [String],
    facts: BTreeMap<Key, Fact>,
}

impl<'a> Facts<'a> {
    /// The facts of a world, for a story about these instances.
    pub fn of(state: &State, instances: &'a [String]) -> Self {
        let mut facts = Self {
            instances,
            facts: BTreeMap::new(),
        };
        for group in &state.groups {
            facts.add_group(group);
        }
        for instance in &state.instances {
            facts.add_instance(&instance.id, &instance.state, state.group_of(&instance.id));
        }
        for group in &state.target_groups {
            for target in &group.targets {
                facts.add_target(target, &group.name);
            }
        }
        for cluster in &state.clusters {
            for registered in &cluster.container_instances {
                facts.add_container_instance(registered, cluster);
            }
            for task in &cluster.tasks {
                facts.add_task(task, cluster);
            }
        }
        for action in &state.lifecycle_actions {
            facts.add_lifecycle_action(action);
        }
        facts
    }

    /// The names, in order.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.facts.keys()
    }

    /// One fact.
    pub fn get(&self, key: &Key) -> Option<&Fact> {
        self.facts.get(key)
    }

    /// One fact for the table.
    pub fn value(&self, key: &Key) -> String {
        let fact = self.get(key);
        fact.map_or_else(|| "-".to_owned(), |fact| fact.value.clone())
    }

    fn concerns(&self, instance: &str) -> bool {
        self.instances.iter().any(|id| id == instance)
    }

    fn add(&mut self, section: Section, name: String, value: String, concerned: bool) {
        let essence = value.clone();
        self.add_with_essence(section, name, value, essence, concerned);
    }

    fn add_with_essence(
        &mut self,
        section: Section,
        name: String,
        value: String,
        essence: String,
        concerned: bool,
    ) {
        let fact = Fact {
            value,
            essence,
            concerned,
        };
        self.facts.insert(Key { section, name }, fact);
    }

    fn add_group(&mut self, group: &Group) {
        let mut lifecycles = BTreeMap::<&str, usize>::new();
        for member in &group.instances {
            *lifecycles.entry(&member.lifecycle).or_default() += 1;
        }
        let mut value = format!("desired {}", group.desired);
        for (lifecycle, count) in lifecycles {
            value.push_str(&format!(", {count} {lifecycle}"));
        }
        let concerned = group.instances.iter().any(|member| self.concerns(&member.id));
        self.add(Section::Group, format!("group {}", group.name), value, concerned);
    }

    fn add_instance(&mut self, id: &str, state: &str, group: Option<&Group>) {
        let place = match group.and_then(|group| Some((group, group.member(id)?))) {
            Some((group, member)) => format!("{} in {}", member.lifecycle, group.name),
            None => "in no group".to_owned(),
        };
        let value = format!("{state}, {place}");
        self.add(
            Section::Instance,
            format!("instance {id}"),
            value,
            self.concerns(id),
        );
    }

    fn add_target(&mut self, target: &Target, group: &str) {
        let port = target.port.map_or(String::new(), |port| format!(":{port}"));
        let name = format!("target {}{port} in {group}", target.id);
        let essence = match target.state.as_str() {
            // By itself, it will pass its health checks.
            "initial" => "healthy",
            state => state,
        };
        let (value, essence) = (target.state.clone(), essence.to_owned());
        let concerned = self.concerns(&target.id);
        self.add_with_essence(Section::Target, name, value, essence, concerned);
    }

    fn add_container_instance(&mut self, registered: &ContainerInstance, cluster: &Cluster) {
        let ContainerInstance {
            instance,
            status,
            running_tasks,
            ..
        } = registered;
        let name = format!("container instance {instance} in {}", cluster.name);
        let tasks = count(running_tasks.unsigned_abs(), "task");
        let value = format!("{status}, {tasks}");
        let (essence, concerned) = (status.clone(), self.concerns(instance));
        self.add_with_essence(Section::ContainerInstance, name, value, essence, concerned);
    }

    fn add_task(&mut self, task: &Task, cluster: &Cluster) {
        let id = task.arn.rsplit('/').next().unwrap_or_default();
        let name = format!("task {} {} in {}", task.family, short_id(id), cluster.name);
        let mut value = task.last_status.clone();
        if task.last_status != task.desired_status {
            value.push_str(&format!(", to be {}", task.desired_status));
        }
        let place = task.instance.as_deref();
        let concerned = place.is_some_and(|place| self.concerns(place));
        // For a task of the story, the story itself tells where it is.
        if let Some(place) = place.filter(|_| !concerned) {
            value.push_str(&format!(" on {place}"));
        }
        self.add(Section::Task, name, value, concerned);
    }

    fn add_lifecycle_action(&mut self, action: &LifecycleAction) {
        let name = format!("lifecycle hook {} of {}", action.hook, action.instance);
        let value = match (&action.result, action.heartbeats) {
            (Some(result), _) => format!("completed: {result}"),
            (None, 0) => "waiting".to_owned(),
            (None, heartbeats) => format!("waiting, {heartbeats} heartbeats"),
        };
        let concerned = self.concerns(&action.instance);
        self.add(Section::LifecycleAction, name, value, concerned);
    }
}
