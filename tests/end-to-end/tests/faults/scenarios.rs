//! Events that together make the functions use every action that they know.

use anyhow::{Context, Result};
use end_to_end::events;
use end_to_end::scene::{Scene, is_registered_as, quick};
use jiff::SignedDuration;
use serde_json::json;
use spot_handoff::notice::NOTICE;
use testbed::{ANNOUNCER, FUNCTIONS, MappingOptions, Options, RUNNER, State};

use crate::finish::all_tasks;

/// What happens in a world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scenario {
    /// Two instances are interrupted, one of them with tasks of every kind.
    Interruption,
    /// The same, and the groups terminate them.
    Termination,
    /// An interruption in a world where only tagged groups are ours.
    TaggedOnly,
    /// An instance at risk.
    Exchange,
    /// An instance at risk, whose replacement is of no use.
    ExchangeInVain,
    /// An instance waits at its termination hook.
    LifecycleAction,
    /// An instance goes without a warning.
    ShuttingDown,
    /// An instance in no group and no cluster is interrupted.
    OfNobody,
    /// A Managed Instance of ECS is interrupted.
    ManagedByEcs,
    /// Most of a cluster is to be retired; a dry run.
    MostOfACluster,
    /// Two instances are interrupted, and their hand-offs are announced.
    Announcement,
    /// An instance is interrupted, and each function fails once.
    TriedAgain,
    /// An instance is interrupted, and its announcement fails once.
    ToldAgain,
    /// More instances are interrupted than Lambda hands over at once.
    ManyAtOnce,
    /// An instance whose group has a stop script is interrupted.
    StopScript,
    /// Two instances of different groups and clusters are interrupted. Not among all: it adds no call.
    TwoOfABatch,
    /// An instance is stopped by an interruption, and runs again.
    ComesBack,
    /// An instance is restarted by AWS.
    Restart,
    /// An instance is interrupted while Spot has no capacity, and On-Demand fills the group.
    SpotIsDry,
    /// An instance is interrupted, and there is another announcement when its group is whole again.
    GroupWhole,
    /// The reservation of an instance ends.
    Reserved,
    /// A Capacity Block is about to end.
    CapacityBlock,
    /// A scale-in returns an instance to its warm pool, and it leaves that again.
    WarmPool,
}

/// Instances of the large group.
const MANY: usize = 12;
/// Seconds of the world after which an interruption is over.
const STOPPED_FOR: u64 = 150;
/// Seconds of the world that a restart takes: so long that a look sees it, even a look that comes again after a
/// failure.
const RESTARTS_FOR: u64 = 200;
/// Seconds of the world for which Spot has no capacity. By then On-Demand has been asked for, with several tries on a
/// slow machine.
const DRY_FOR: u64 = 600;
const FILLED_WITHIN: u64 = 320;
/// Seconds of the world within which a whole group has been announced.
const TOLD_WITHIN: u64 = 300;
/// How often to look whether it is so, in seconds of the world.
const LOOK_EVERY: u64 = 10;
/// Seconds of the world within which messages that are sent together certainly arrive.
pub const WINDOW: u64 = 20;

/// Slower than elsewhere, so that a call that hangs does not use up the two minutes.
const SPEED: f64 = 10.0;

impl Scenario {
    /// All scenarios that add a call. The first one has no replace-capacity, so the other functions always see the
    /// whole instance.
    pub const ALL: [Self; 22] = [
        Self::ShuttingDown,
        Self::Interruption,
        Self::Exchange,
        Self::ExchangeInVain,
        Self::LifecycleAction,
        Self::OfNobody,
        Self::ManagedByEcs,
        Self::Termination,
        Self::TaggedOnly,
        Self::MostOfACluster,
        Self::Announcement,
        Self::TriedAgain,
        Self::ToldAgain,
        Self::ManyAtOnce,
        Self::StopScript,
        Self::ComesBack,
        Self::Restart,
        Self::SpotIsDry,
        Self::GroupWhole,
        Self::Reserved,
        Self::CapacityBlock,
        Self::WarmPool,
    ];

    /// The world of the scenario. If the functions need nobody else to go on, only their calls move anything: the
    /// result of a fault must not depend on what AWS does faster.
    pub fn options(self) -> Options {
        let options = Options {
            simulate: !self.is_side_by_side(),
            ..quick().speed(SPEED)
        };
        match self {
            Self::Termination => options.parameter("ReplacementStrategy", "terminate"),
            Self::SpotIsDry => options.parameter("SpotFallback", "on-demand"),
            // They take minutes, and no two minutes run out in them.
            Self::ExchangeInVain | Self::Restart => options.speed(SPEED * 2.0),
            Self::TaggedOnly => options.parameter("Scope", "tagged"),
            Self::MostOfACluster => Options {
                storm: Some(json!({ "groups": 1, "instances": MANY, "tasks": 1 })),
                ..options.parameter("DryRun", "true")
            },
            Self::TwoOfABatch => Options {
                storm: Some(json!({ "groups": 1, "instances": 3, "tasks": 2 })),
                ..options
            },
            Self::ManyAtOnce => Options {
                storm: Some(json!({ "groups": 1, "instances": MANY, "tasks": 1 })),
                // While a function is at work, the other messages stay in the queue, for the function to find.
                mapping: MappingOptions {
                    window_seconds: Some(WINDOW),
                    maximum_concurrency: Some(1),
                    ..MappingOptions::default()
                },
                ..options
            },
            Self::Announcement | Self::ToldAgain | Self::CapacityBlock => Options {
                announce: true,
                ..options.parameter("Announcements", "all")
            },
            // So slow that a look sees the group whole before its hand-off is announced.
            Self::GroupWhole => Options {
                announce: true,
                ..options.parameter("Announcements", "all").speed(SPEED / 2.0)
            },
            _ => options,
        }
    }

    /// What has to be so before.
    pub async fn prepare(self, scene: &Scene) -> Result<()> {
        if self == Self::TaggedOnly {
            let tags = [("managed", "true"), ("strategy", "auto")];
            for (tag, value) in tags {
                let key = format!("spot-handoff:{tag}");
                scene.bed.world.tag_group("inference", &key, value).await?;
            }
        }
        if self == Self::ManagedByEcs {
            let lone = lone(scene)?;
            scene
                .happen(json!({ "kind": "managed-by-ecs", "instance": lone }))
                .await?;
        }
        if self == Self::SpotIsDry {
            let dry = json!({ "kind": "no-spot-capacity", "seconds": DRY_FOR });
            scene.happen(dry).await?;
        }
        if self == Self::ExchangeInVain {
            let fails = json!({ "kind": "new-instances-fail", "group": "inference", "what": "agent" });
            scene.happen(fails).await?;
        }
        // At the hook, drain-tasks also waits for the end of a script.
        let with_script = match self {
            Self::StopScript => Some("inference"),
            Self::LifecycleAction => Some("hooked"),
            _ => None,
        };
        if let Some(group) = with_script {
            let script = json!({
                "kind": "stop-script",
                "group": group,
                "lines": ["sleep 5", "echo done > saved"],
                "tags": { "spot-handoff:stop-seconds": "10" },
            });
            scene.happen(script).await?;
        }
        let once = |function, action| {
            json!({
                "caller": function,
                "action": action,
                "times": 1,
                "fault": { "kind": "denied" },
            })
        };
        let faults = match self {
            Self::TriedAgain => FUNCTIONS
                .into_iter()
                .chain([RUNNER])
                .map(|function| once(function, "DescribeAutoScalingInstances"))
                .collect(),
            Self::ToldAgain => vec![once(ANNOUNCER, "PutEvents")],
            _ => vec![],
        };
        if !faults.is_empty() {
            scene.bed.world.faults(&json!(faults)).await?;
        }
        Ok(())
    }

    /// Has it happen; answers with the instances that go.
    pub async fn begin(self, scene: &Scene) -> Result<Vec<String>> {
        match self {
            Self::Interruption | Self::Termination | Self::Announcement | Self::TwoOfABatch => {
                let other = match self {
                    // Auto Scaling would hold a terminated instance of `hooked` until its tasks have moved.
                    Self::Termination => "mixed",
                    Self::TwoOfABatch => "storm-1",
                    _ => "hooked",
                };
                interrupt(scene, vec![scene.first_of("inference")?, scene.first_of(other)?]).await
            }
            Self::SpotIsDry => {
                let interrupted = interrupt(scene, vec![scene.first_of("inference")?]).await?;
                on_demand_is_asked_for(scene).await?;
                Ok(interrupted)
            }
            Self::GroupWhole => {
                let interrupted = interrupt(scene, vec![scene.first_of("inference")?]).await?;
                people_are_told(scene).await?;
                Ok(interrupted)
            }
            Self::ManyAtOnce => interrupt(scene, many(scene)?).await,
            Self::TaggedOnly | Self::TriedAgain | Self::ToldAgain | Self::StopScript => {
                interrupt(scene, vec![scene.first_of("inference")?]).await
            }
            Self::ManagedByEcs => interrupt(scene, vec![lone(scene)?]).await,
            Self::OfNobody => {
                let by_hand = scene.before.target_group("by-hand");
                let target = by_hand.and_then(|group| group.targets.first());
                interrupt(scene, vec![target.context("a target")?.id.clone()]).await
            }
            Self::ComesBack => {
                let instance = scene.first_of("inference")?;
                let mut warning = events::interruption(&instance, scene.now())?;
                warning["detail"]["instance-action"] = json!("stop");
                scene.put(&warning).await?;
                // When it is back, no function looks at the interruption any more.
                scene.pass(STOPPED_FOR).await;
                let running = events::state_change(&instance, "running", scene.now())?;
                scene.put(&running).await?;
                Ok(vec![instance])
            }
            Self::Reserved => {
                let instance = scene.first_of("inference")?;
                let ends = scene.now() + NOTICE;
                let event = events::reservation_ends(&instance, ends, scene.now())?;
                scene.put(&event).await?;
                Ok(vec![instance])
            }
            Self::CapacityBlock => {
                scene.put(&events::capacity_block_ends(scene.now())?).await?;
                Ok(vec![])
            }
            Self::WarmPool => {
                let instance = scene.first_of("hooked")?;
                let hook = "spot-handoff-drain";
                let mut leaves = events::terminating(&instance, "hooked", hook, scene.now())?;
                leaves["detail"]["Destination"] = json!("WarmPool");
                scene.put(&leaves).await?;
                let drained = |state: &State| is_registered_as(state, &instance, "DRAINING");
                scene.until("it is drained", drained).await?;
                // Its tasks end, and so does the wait for them at the hook.
                for task in all_tasks(&scene.before) {
                    if task.instance.as_ref() == Some(&instance) {
                        let ends = json!({ "kind": "task-stops", "task": task.arn });
                        scene.happen(ends).await?;
                    }
                }
                scene.pass(STOPPED_FOR / 5).await;
                let back = events::left_warm_pool(&instance, "hooked", scene.now())?;
                scene.put(&back).await?;
                Ok(vec![instance])
            }
            Self::Restart => {
                let instance = scene.first_of("inference")?;
                // So near that it is drained at once.
                let starts = scene.now() + SignedDuration::from_mins(2);
                let event = events::reboot(&instance, starts, scene.now())?;
                scene.put(&event).await?;
                scene.pass(STOPPED_FOR).await;
                let reboot = json!({ "kind": "reboot", "instance": instance, "seconds": RESTARTS_FOR });
                scene.happen(reboot).await?;
                Ok(vec![instance])
            }
            Self::Exchange | Self::ExchangeInVain => at_risk(scene, "inference").await,
            Self::LifecycleAction => {
                let instance = scene.first_of("hooked")?;
                let leaves = json!({ "kind": "terminate-with-hook", "instance": instance });
                scene.happen(leaves).await?;
                Ok(vec![instance])
            }
            Self::ShuttingDown => {
                let instance = scene.first_of("inference")?;
                let event = events::state_change(&instance, "shutting-down", scene.now())?;
                scene.put(&event).await?;
                Ok(vec![instance])
            }
            Self::MostOfACluster => {
                let retired = many(scene)?;
                // Too soon for an exchange: the work is moved at once.
                let starts = scene.now() + SignedDuration::from_mins(10);
                let mut event = events::retirement(&retired[0], starts, scene.now())?;
                event["resources"] = json!(retired);
                let affected = retired.iter().map(|instance| json!({ "entityValue": instance }));
                event["detail"]["affectedEntities"] = affected.collect();
                scene.put(&event).await?;
                Ok(retired)
            }
        }
    }

    /// Whether each function does its part without the others, so that the failure of one does not affect the others.
    pub fn is_side_by_side(self) -> bool {
        !matches!(
            self,
            Self::Exchange
                | Self::ExchangeInVain
                | Self::LifecycleAction
                | Self::SpotIsDry
                | Self::GroupWhole
        )
    }

    /// Whether the only message that replace-capacity sends is the one that watches a group.
    pub fn is_plain_interruption(self) -> bool {
        matches!(
            self,
            Self::Interruption
                | Self::Termination
                | Self::Announcement
                | Self::TriedAgain
                | Self::ToldAgain
                | Self::ManyAtOnce
                | Self::TwoOfABatch
        )
    }
}

/// The instance that is in a cluster and in no group.
fn lone(scene: &Scene) -> Result<String> {
    let groups = &scene.before.groups;
    let in_a_group = |id: &str| groups.iter().any(|group| group.member(id).is_some());
    let clusters = scene.before.clusters.iter();
    let registered = clusters.flat_map(|cluster| &cluster.container_instances);
    let mut instances = registered.map(|one| one.instance.clone());
    instances.find(|id| !in_a_group(id)).context("an instance")
}

fn many(scene: &Scene) -> Result<Vec<String>> {
    (0..MANY).map(|index| scene.nth_of("storm-1", index)).collect()
}

/// All of them in the same moment.
async fn interrupt(scene: &Scene, instances: Vec<String>) -> Result<Vec<String>> {
    let warn = |instance: &String| events::interruption(instance, scene.now());
    let warnings = instances.iter().map(warn).collect::<Result<Vec<_>>>()?;
    scene.bed.world.put_events(&warnings).await?;
    Ok(instances)
}

/// Looks at a group are not waited for.
async fn on_demand_is_asked_for(scene: &Scene) -> Result<()> {
    wait(scene, FILLED_WITHIN, async || {
        let calls = scene.bed.world.calls().await?;
        let mut asked = calls
            .iter()
            .filter(|call| call.action == "UpdateAutoScalingGroup");
        Ok(asked.any(|call| call.error.is_none()))
    })
    .await
}

/// Who tells waits for looks at the group.
async fn people_are_told(scene: &Scene) -> Result<()> {
    wait(scene, TOLD_WITHIN, async || {
        Ok(!scene.bed.world.notifications().await?.is_empty())
    })
    .await
}

/// Waits until it is so, or until these seconds of the world are over. Under a fault it may never be so.
async fn wait(scene: &Scene, seconds: u64, is_so: impl AsyncFn() -> Result<bool>) -> Result<()> {
    for _ in 0..seconds / LOOK_EVERY {
        scene.pass(LOOK_EVERY).await;
        if is_so().await? {
            break;
        }
    }
    Ok(())
}

async fn at_risk(scene: &Scene, group: &str) -> Result<Vec<String>> {
    let instance = scene.first_of(group)?;
    scene.put(&events::rebalance(&instance, scene.now())?).await?;
    Ok(vec![instance])
}
