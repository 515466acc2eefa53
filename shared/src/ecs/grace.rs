//! How long a task may take to end, and when it has to be stopped at the latest to end in order.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ecs::types::{ContainerCondition, ContainerDefinition, TaskDefinition};
use jiff::{SignedDuration, Timestamp};

use crate::ecs::accelerators::Accelerator;

/// The grace of a task whose definition could not be read: the whole notice of an interruption, so that the task is
/// stopped at once. A task that is stopped early ends in order; one that is stopped late is killed.
pub const GRACE_OF_UNREAD_DEFINITION: SignedDuration = SignedDuration::from_secs(120);

/// The agent's default for a container without `stopTimeout`.
/// <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-agent-config.html>
pub const GRACE_OF_AGENTS: SignedDuration = SignedDuration::from_secs(30);

/// The least grace of a container without `stopTimeout` in a task that serves to the last: the default of `docker
/// stop`.
/// <https://docs.docker.com/reference/cli/docker/container/stop/>
const GRACE_OF_LAST_SERVER: SignedDuration = SignedDuration::from_secs(10);

/// Time for the delayed message to arrive, the function to start cold, and ECS to reach its agent on the instance.
const MARGIN: SignedDuration = SignedDuration::from_secs(10);
/// An additional margin for a task with an accelerator, to write its checkpoint and to release the device.
const ACCELERATOR_MARGIN: SignedDuration = SignedDuration::from_secs(20);

/// How long the containers of a task may take to end, from the first SIGTERM to the last SIGKILL.
///
/// Containers end in the reverse order of their start. A container that others depend on (`dependsOn`, `links`,
/// `volumesFrom`) gets its SIGTERM when these have ended. So the graces along a chain add up, and the longest chain
/// counts. A container that had to be `COMPLETE` or `SUCCESS` before others started has already ended.
/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDependency.html>
///
/// A container without `stopTimeout` gets `default`: the agent's `ECS_CONTAINER_STOP_TIMEOUT`, which no API tells.
/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDefinition.html>
///
/// ECS refuses cycles and unknown names. If there are some all the same, each container of a cycle counts once, and an
/// unknown name does not count.
pub fn grace(definition: Option<&TaskDefinition>, default: SignedDuration) -> SignedDuration {
    let Some(definition) = definition else {
        return GRACE_OF_UNREAD_DEFINITION.max(default);
    };
    let containers = Containers::of(definition, default);
    let names = containers.graces.keys().copied();
    let ways = names.map(|name| containers.longest_way(name, &mut BTreeSet::new()));
    // Containers without names are in no order with the others.
    let unnamed = definition.container_definitions().iter();
    let unnamed = unnamed.filter(|container| container.name.is_none());
    let alone = unnamed.map(|container| stop_timeout(container, default));
    ways.chain(alone).max().unwrap_or(default)
}

/// A shorter grace for the last task of a service, if the task serves requests and nobody has asked for more. `None` if
/// the task has all of [`grace`].
///
/// The 30 s of the agents are AWS's default, and not a wish of the task's owner. Servers end within moments. If the
/// last server stops a second too early, every request of that second fails. If a task needs the 30 s, its owner sets
/// them as `stopTimeout`.
pub fn of_last_server(
    definition: Option<&TaskDefinition>,
    default: SignedDuration,
) -> Option<SignedDuration> {
    let definition = definition?;
    let containers = definition.container_definitions();
    let serves = containers.iter().any(|one| !one.port_mappings().is_empty());
    let nobody_asked = default == GRACE_OF_AGENTS;
    let least = grace(Some(definition), GRACE_OF_LAST_SERVER);
    let is_less = least < grace(Some(definition), default);
    (serves && nobody_asked && is_less).then_some(least)
}

fn stop_timeout(container: &ContainerDefinition, default: SignedDuration) -> SignedDuration {
    let seconds = container.stop_timeout.map(i64::from);
    seconds.map_or(default, |seconds| SignedDuration::from_secs(seconds.max(0)))
}

/// The containers of a task by their names: the grace of each, and the containers that end after it.
struct Containers<'a> {
    graces: BTreeMap<&'a str, SignedDuration>,
    end_after: BTreeMap<&'a str, BTreeSet<&'a str>>,
}

impl<'a> Containers<'a> {
    fn of(definition: &'a TaskDefinition, default: SignedDuration) -> Self {
        let (mut graces, mut end_after) = (BTreeMap::new(), BTreeMap::new());
        for container in definition.container_definitions() {
            let Some(name) = container.name() else { continue };
            graces.insert(name, stop_timeout(container, default));
            end_after.insert(name, needed_by(container));
        }
        Self { graces, end_after }
    }

    /// The time from the SIGTERM to `name` until the last container that ends after it has ended. `passed` are the
    /// containers on the way to it.
    fn longest_way(&self, name: &'a str, passed: &mut BTreeSet<&'a str>) -> SignedDuration {
        let Some(own) = self.graces.get(name) else {
            return SignedDuration::ZERO;
        };
        if !passed.insert(name) {
            return SignedDuration::ZERO;
        }
        let next = self.end_after.get(name).into_iter().flatten();
        let longest = next.map(|next| self.longest_way(next, passed)).max();
        passed.remove(name);
        own.saturating_add(longest.unwrap_or_default())
    }
}

/// The containers that `container` needs while it runs. They end after it.
fn needed_by(container: &ContainerDefinition) -> BTreeSet<&str> {
    let runs_beside = |condition: &ContainerCondition| {
        !matches!(
            condition,
            ContainerCondition::Complete | ContainerCondition::Success
        )
    };
    let dependencies = container.depends_on().iter();
    let depended_on = dependencies.filter(|dependency| runs_beside(dependency.condition()));
    let depended_on = depended_on.map(|dependency| dependency.container_name());
    // `name:alias`
    let linked = container.links().iter();
    let linked = linked.map(|link| link.split(':').next().unwrap_or(link));
    let volumes = container.volumes_from().iter();
    let volumes = volumes.filter_map(|volume| volume.source_container());
    depended_on.chain(linked).chain(volumes).collect()
}

/// The latest moment at which a task can be stopped so that its containers end in order before `deadline`.
///
/// ```text
/// deadline - the grace of the task - a margin, the longer one for a task with accelerators
/// ```
pub fn latest_safe_stop(
    deadline: Timestamp,
    grace: SignedDuration,
    accelerators: &[Accelerator],
) -> Timestamp {
    deadline
        .saturating_sub(grace.saturating_add(margin(accelerators)))
        .unwrap_or(deadline)
}

/// When to stop a service task that ECS has not moved. `begins` is when it became known that the instance goes.
///
/// This is the latest safe moment. If the whole grace does not fit between the two, some of it is lost in any case.
/// Then ECS has half of the time to move the task, and the containers have the other half to end.
pub fn latest_stop_of_service(
    begins: Timestamp,
    deadline: Timestamp,
    grace: SignedDuration,
    accelerators: &[Accelerator],
) -> Timestamp {
    let safe = latest_safe_stop(deadline, grace, accelerators);
    if safe >= begins {
        return safe;
    }
    let half = deadline.duration_since(begins).max(SignedDuration::ZERO) / 2;
    begins.saturating_add(half).unwrap_or(begins)
}

/// The time between the end of a task's grace and the deadline.
pub fn margin(accelerators: &[Accelerator]) -> SignedDuration {
    if accelerators.is_empty() {
        MARGIN
    } else {
        ACCELERATOR_MARGIN
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_ecs::types::{ContainerDependency, PortMapping, VolumeFrom};
    use proptest::prelude::*;

    use super::*;

    const DEFAULT: SignedDuration = SignedDuration::from_secs(30);

    #[derive(Debug, Clone, Default)]
    struct Container {
        name: &'static str,
        stop_timeout: Option<i32>,
        depends_on: Vec<(&'static str, ContainerCondition)>,
        links: Vec<&'static str>,
        volumes_from: Vec<&'static str>,
    }

    fn container(name: &'static str, stop_timeout: impl Into<Option<i32>>) -> Container {
        Container {
            name,
            stop_timeout: stop_timeout.into(),
            ..Container::default()
        }
    }

    impl Container {
        fn after(mut self, name: &'static str, condition: ContainerCondition) -> Self {
            self.depends_on.push((name, condition));
            self
        }

        fn started_after(self, name: &'static str) -> Self {
            self.after(name, ContainerCondition::Start)
        }

        fn linked_to(mut self, link: &'static str) -> Self {
            self.links.push(link);
            self
        }

        fn with_volumes_from(mut self, name: &'static str) -> Self {
            self.volumes_from.push(name);
            self
        }

        fn definition(self) -> ContainerDefinition {
            let mut definition = ContainerDefinition::builder()
                .name(self.name)
                .set_stop_timeout(self.stop_timeout)
                .set_links(Some(self.links.into_iter().map(str::to_owned).collect()));
            for (name, condition) in self.depends_on {
                let dependency = ContainerDependency::builder()
                    .container_name(name)
                    .condition(condition);
                definition = definition.depends_on(dependency.build().expect("complete"));
            }
            for name in self.volumes_from {
                definition = definition.volumes_from(VolumeFrom::builder().source_container(name).build());
            }
            definition.build()
        }
    }

    fn grace_of(containers: Vec<Container>, default: SignedDuration) -> i64 {
        let containers = containers.into_iter().map(Container::definition).collect();
        let definition = TaskDefinition::builder().set_container_definitions(Some(containers));
        grace(Some(&definition.build()), default).as_secs()
    }

    #[test]
    fn the_longest_way_through_the_order_in_which_containers_end_is_the_grace() {
        use ContainerCondition::{Complete, Healthy, Success};
        let table = [
            ("one without stopTimeout", vec![container("a", None)], 30),
            ("one with a short one", vec![container("a", 2)], 2),
            (
                "beside each other",
                vec![container("a", 2), container("b", 90), container("c", None)],
                90,
            ),
            (
                "trainer, then uploader",
                vec![
                    container("trainer", 50).started_after("uploader"),
                    container("uploader", 40),
                ],
                90,
            ),
            (
                "by links",
                vec![container("a", 50).linked_to("b:database"), container("b", 40)],
                90,
            ),
            (
                "by volumes",
                vec![container("a", 50).with_volumes_from("b"), container("b", 40)],
                90,
            ),
            (
                "a chain of three beside a long one",
                vec![
                    container("a", 10).started_after("b"),
                    container("b", 20).after("c", Healthy),
                    container("c", None),
                    container("d", 55),
                ],
                60,
            ),
            (
                "two ways to the same container",
                vec![
                    container("a", 10).started_after("b").started_after("c"),
                    container("b", 70).started_after("d"),
                    container("c", 5).started_after("d"),
                    container("d", 15),
                ],
                95,
            ),
            (
                "what has to be over before is over",
                vec![
                    container("a", 50)
                        .after("prepare", Complete)
                        .after("fetch", Success),
                    container("prepare", 60),
                    container("fetch", 20),
                ],
                60,
            ),
            (
                "an unknown name",
                vec![container("a", 20).started_after("nobody")],
                20,
            ),
            (
                "a circle",
                vec![
                    container("a", 20).started_after("b"),
                    container("b", 30).started_after("a"),
                ],
                50,
            ),
            ("itself", vec![container("a", 20).started_after("a")], 20),
            ("none", vec![], 30),
        ];
        for (what, containers, expected) in table {
            assert_eq!(grace_of(containers, DEFAULT), expected, "{what}");
        }
        let (unset, ninety) = (vec![container("a", None)], SignedDuration::from_secs(90));
        assert_eq!(grace_of(unset, ninety), 90, "what the agents are set to");
        assert_eq!(grace(None, DEFAULT).as_secs(), 120, "not read");
        assert_eq!(grace(None, ninety * 2).as_secs(), 180, "not read");
    }

    #[test]
    fn who_serves_to_the_last_has_less_grace_unless_somebody_asked_for_more() {
        let serving = |containers: Vec<Container>| {
            let containers = containers.into_iter().map(|one| {
                let mut definition = one.definition();
                definition.port_mappings = Some(vec![PortMapping::builder().container_port(80).build()]);
                definition
            });
            let definition = TaskDefinition::builder();
            definition
                .set_container_definitions(Some(containers.collect()))
                .build()
        };
        let seconds = |containers, default| {
            of_last_server(Some(&serving(containers)), default).map(|grace| grace.as_secs())
        };
        assert_eq!(seconds(vec![container("a", None)], DEFAULT), Some(10));
        let two = || vec![container("a", None).started_after("b"), container("b", None)];
        assert_eq!(seconds(two(), DEFAULT), Some(20), "one after the other");
        let beside = vec![container("a", None), container("sidecar", 5)];
        assert_eq!(seconds(beside, DEFAULT), Some(10));
        assert_eq!(
            seconds(vec![container("a", 30)], DEFAULT),
            None,
            "it was asked for"
        );
        let (unset, ninety) = (vec![container("a", None)], SignedDuration::from_secs(90));
        assert_eq!(seconds(unset, ninety), None, "the agents were set to it");
        let worker = vec![container("a", None).definition()];
        let worker = TaskDefinition::builder().set_container_definitions(Some(worker));
        assert_eq!(
            of_last_server(Some(&worker.build()), DEFAULT),
            None,
            "nobody waits for it"
        );
        assert_eq!(of_last_server(None, DEFAULT), None, "not read");
    }

    #[test]
    fn the_latest_safe_moment_leaves_the_grace_and_a_margin() {
        let deadline: Timestamp = "2026-11-24T04:02:00Z".parse().expect("a time");
        let gpu = [Accelerator::Gpu(1)];
        let table: [(i64, &[Accelerator], &str); 4] = [
            (30, &[], "2026-11-24T04:01:20Z"),
            (30, &gpu, "2026-11-24T04:01:10Z"),
            (60, &[], "2026-11-24T04:00:50Z"),
            (90, &[], "2026-11-24T04:00:20Z"),
        ];
        for (seconds, accelerators, expected) in table {
            let grace = SignedDuration::from_secs(seconds);
            let at = latest_safe_stop(deadline, grace, accelerators);
            assert_eq!(at.to_string(), expected, "{seconds} s {accelerators:?}");
        }
    }

    #[test]
    fn a_service_task_whose_grace_does_not_fit_is_left_to_ecs_for_half_of_the_time() {
        let begins: Timestamp = "2026-11-24T04:00:00Z".parse().expect("a time");
        let gpu = [Accelerator::Gpu(1)];
        let table: [(i64, i64, &[Accelerator], i64); 6] = [
            (120, 30, &[], 80),
            (120, 30, &gpu, 70),
            (120, 110, &[], 0),
            (120, 111, &[], 60),
            (120, 3600, &[], 60),
            (-5, 30, &[], 0),
        ];
        for (left, grace, accelerators, expected) in table {
            let deadline = begins + SignedDuration::from_secs(left);
            let grace = SignedDuration::from_secs(grace);
            let at = latest_stop_of_service(begins, deadline, grace, accelerators);
            assert_eq!(at.duration_since(begins).as_secs(), expected, "{left} {grace}");
        }
    }

    const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "elsewhere"];

    fn any_containers() -> impl Strategy<Value = Vec<Container>> {
        let needs = proptest::collection::vec(0..NAMES.len(), 0..3);
        let one = (0..5usize, proptest::option::of(0..120i32), needs, 0..3usize);
        let one = one.prop_map(|(name, timeout, needs, how)| {
            let made = container(NAMES[name], timeout);
            needs.into_iter().fold(made, |made, other| match how {
                0 => made.started_after(NAMES[other]),
                1 => made.linked_to(NAMES[other]),
                _ => made.with_volumes_from(NAMES[other]),
            })
        });
        proptest::collection::vec(one, 0..5)
    }

    proptest! {
        /// For any definition, also one with cycles.
        #[test]
        fn the_grace_is_between_that_of_the_longest_container_and_that_of_all(containers in any_containers()) {
            let seconds = |one: &Container| one.stop_timeout.map_or(30, i64::from);
            // If two have the same name, the last one counts.
            let by_name: BTreeMap<&str, i64> = containers.iter().map(|one| (one.name, seconds(one))).collect();
            let (longest, all) = (by_name.values().max().copied(), by_name.values().sum::<i64>());
            let found = grace_of(containers, DEFAULT);
            prop_assert!(found >= longest.unwrap_or(30), "{found}");
            prop_assert!(found <= all.max(30), "{found}");
        }
    }
}
