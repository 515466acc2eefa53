//! Every action of every function, times every fault, times once or always.
//!
//! By default the test plays a part that has each action and each fault, once and always. `EVERY_FAULT=1` plays all.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use end_to_end::scene::Scene;
use serde_json::{Value, json};
use spot_handoff::report::Outcome;
use testbed::Options;

use crate::EVERY_FUNCTION;
use crate::faults::Fault;
use crate::finish::{Finish, nothing, play};
use crate::recording::{Recording, Use};
use crate::scenarios::Scenario;
use crate::several::{all_well, chosen, only, several};
use crate::shape::difference;

/// When Lambda gives up an invocation under a fault that lasts, in real time.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(6);

/// Reads that a hand-off can do without, even if they always fail. Each has a default on the safe side.
const DONE_WITHOUT: &[(&str, &str)] = &[
    // If the deregistration delay of a target is not known, the target gets the longest time to drain.
    ("deregister-targets", "DescribeTargetGroupAttributes"),
    // A load balancer of unknown kind counts as the kind for which most targets are held.
    ("deregister-targets", "DescribeTargetGroups"),
    // Without the table, the function decides by what it sees, and a warning says so.
    ("deregister-targets", "BatchGetItem"),
    ("deregister-targets", "PutItem"),
    // The same for an instance whose target may have to stay. If the health of targets is not known, instances of the
    // group that are in service count as healthy.
    ("replace-capacity", "DescribeTargetGroupAttributes"),
    ("replace-capacity", "DescribeTargetGroups"),
    ("replace-capacity", "DescribeTargetHealth"),
    ("replace-capacity", "BatchGetItem"),
    // A re-run travels in the message about its task.
    ("drain-tasks", "PutItem"),
    // Reports are in the log as well. If an announcement cannot gather with others, it goes out at once.
    ("deregister-targets", "BatchWriteItem"),
    ("drain-tasks", "BatchWriteItem"),
    ("replace-capacity", "BatchWriteItem"),
    ("announce-hand-offs", "BatchWriteItem"),
    // If the event may already be on the bus, it is put again: twice is better than never.
    ("announce-hand-offs", "PutItem"),
    // A stop script that runs twice is better than none. The instance waits until the script's time is over, whatever
    // became of it.
    ("run-commands", "BatchGetItem"),
    ("run-commands", "PutItem"),
    ("run-commands", "BatchWriteItem"),
    ("drain-tasks", "BatchGetItem"),
    // If run-commands cannot see the targets, the stop script runs at its last moment.
    ("run-commands", "DescribeTargetHealth"),
    // A document that cannot be read gets no parameters.
    ("run-commands", "DescribeDocument"),
    // The sizes of clusters. They only decide between two ways to find the same container instances.
    ("deregister-targets", "DescribeClusters"),
    ("drain-tasks", "DescribeClusters"),
    // Which services are daemons. If the instance is already going, service tasks are left to ECS.
    ("drain-tasks", "ListServices"),
    // If the stopTimeout of a task is not known, drain-tasks assumes the longest one.
    ("drain-tasks", "DescribeTaskDefinition"),
    // If the timeout of a hook is not known, heartbeats come as often as the shortest timeout needs.
    ("drain-tasks", "DescribeLifecycleHooks"),
    // If the hooks of an instance are not known, it is detached, as if no hook waited.
    ("replace-capacity", "DescribeLifecycleHooks"),
    // Why launches fail. Without this, the group is still watched, but On-Demand does not fill it.
    ("replace-capacity", "DescribeScalingActivities"),
    // If the mixed instances policy cannot be changed, the report says so, and the next look tries again.
    ("replace-capacity", "UpdateAutoScalingGroup"),
];

/// Calls to a function's own queue. They only save time, since the same happens later without them: Lambda hands over
/// what is in the queue, what was not deleted is found done, and the visibility timeout brings back what failed.
const SHORTCUTS: &[&str] = &[
    "ReceiveMessage",
    "DeleteMessageBatch",
    "ChangeMessageVisibilityBatch",
];

/// Errors that are answers, not failures: the state is already as asked for, or there is nothing to ask about.
const ANSWERS: &[(&str, &str)] = &[
    // A target group that was deleted has no targets.
    ("DeregisterTargets", "TargetGroupNotFound"),
    ("DescribeTargetHealth", "TargetGroupNotFound"),
    // This instance or this document cannot run a stop script. This is a loss, and there is nothing to try again.
    ("SendCommand", "DuplicateInstanceId"),
    ("SendCommand", "InvalidInstanceId"),
    ("SendCommand", "InvalidDocument"),
    ("SendCommand", "InvalidDocumentVersion"),
    ("SendCommand", "InvalidOutputFolder"),
    ("SendCommand", "InvalidParameters"),
    ("SendCommand", "UnsupportedPlatformType"),
    ("SendCommand", "MaxDocumentSizeExceeded"),
    ("SendCommand", "InvalidRole"),
    ("SendCommand", "InvalidNotificationConfig"),
    // A cluster that was deleted has no capacity providers.
    ("DescribeCapacityProviders", "ClusterNotFoundException"),
    // A cluster that was deleted has no container instances.
    ("ListContainerInstances", "ClusterNotFoundException"),
];

/// What is announced as a loss at the end. It gives no dead letter, since there is nothing left to try.
const TOLD_AS_LOST: &[(&str, &str)] = &[
    ("run-commands", "ListCommandInvocations"),
    ("run-commands", "SendCommand"),
];

/// How often a fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Times {
    Once,
    Always,
}

/// One field of the matrix.
#[derive(Debug, Clone)]
struct Trial {
    of: Use,
    scenario: Scenario,
    fault: Fault,
    times: Times,
}

impl Trial {
    fn all(recording: &Recording) -> Vec<Self> {
        let mut trials = vec![];
        for (of, scenarios) in recording.uses() {
            for fault in Fault::all(recording.modelled(&of)) {
                for times in [Times::Once, Times::Always] {
                    trials.push(Self {
                        of: of.clone(),
                        scenario: scenarios[0],
                        fault: fault.clone(),
                        times,
                    });
                }
            }
        }
        trials.extend(Self::in_the_middle(recording));
        trials
    }

    /// Some hand-offs go on by their own looks, or when an instance comes back, and few events lead to them. They can
    /// also fail in the middle.
    fn in_the_middle(recording: &Recording) -> Vec<Self> {
        let mut trials = vec![];
        for scenario in [
            Scenario::ComesBack,
            Scenario::Restart,
            Scenario::Reserved,
            Scenario::CapacityBlock,
            Scenario::WarmPool,
        ] {
            let uses = recording.scenarios[&scenario].calls.keys();
            let changes = uses.filter(|of| {
                let is_of_table = of.action.starts_with("BatchGet") || of.action.starts_with("BatchWrite");
                !of.is_read() && !is_of_table && !SHORTCUTS.contains(&of.action.as_str())
            });
            trials.extend(changes.map(|of| Self {
                of: of.clone(),
                scenario,
                fault: Fault::AccessDenied,
                times: Times::Once,
            }));
        }
        trials
    }

    /// Each action that changes something gets a fault that passes and a fault that lasts. Each read gets one of the
    /// two. Every fault occurs. The choice differs from action to action, and is the same each time.
    fn covering(recording: &Recording) -> Vec<Self> {
        let mut trials = vec![];
        // The shortcuts need a slow world. There nobody waits for a second announcement.
        let mut uses = recording.uses();
        uses.retain(|of, scenarios| {
            scenarios[0] != Scenario::ToldAgain || !SHORTCUTS.contains(&of.action.as_str())
        });
        for (of, scenarios) in uses {
            let name = of.caller.bytes().chain(of.action.bytes());
            let number: usize = name.map(usize::from).sum();
            let faults = Fault::all(recording.modelled(&of));
            // A lasting hang takes a minute; a few tell as much as many.
            let always = &faults[(number * 2 + 5) % faults.len()];
            let always = if *always == Fault::Hang && !number.is_multiple_of(4) {
                &Fault::AccessDenied
            } else {
                always
            };
            let once = &faults[number % faults.len()];
            let both = [(once, Times::Once), (always, Times::Always)];
            let chosen = if of.is_read() || SHORTCUTS.contains(&of.action.as_str()) {
                &both[number % 2..][..1]
            } else {
                &both[..]
            };
            for (fault, times) in chosen {
                trials.push(Self {
                    of: of.clone(),
                    scenario: scenarios[0],
                    fault: (*fault).clone(),
                    times: *times,
                });
            }
        }
        trials.extend(Self::in_the_middle(recording));
        trials
    }

    /// A fault that lasts is the same if the invocation is given up sooner: it tries calls again until its end.
    fn options(&self) -> Options {
        let options = Options {
            timeout: (self.times == Times::Always).then_some(GIVEN_UP_AFTER),
            ..self.scenario.options()
        };
        // A message that Lambda has handed over is hidden for the same real time in a faster world. There the notice
        // would be long over when the message comes again.
        if self.of.action == "ChangeMessageVisibilityBatch" {
            options.speed(1.0)
        } else {
            options
        }
    }

    /// Plays the scenarios that had the call, until one of them has the call again.
    async fn play(&self, recording: &Recording) -> Result<()> {
        let others = recording.uses()[&self.of].clone();
        let others = others.into_iter().filter(|one| *one != self.scenario);
        for scenario in std::iter::once(self.scenario).chain(others) {
            let trial = Self {
                scenario,
                ..self.clone()
            };
            let played = trial.play_once(recording).await;
            if played.with_context(|| format!("{trial:?}"))? {
                return Ok(());
            }
        }
        bail!("{self:?}: the fault never struck")
    }

    /// Whether the fault struck.
    async fn play_once(&self, recording: &Recording) -> Result<bool> {
        let options = self.options();
        let speed = options.speed;
        let order = async |scene: &Scene| {
            let order = json!([{
                "caller": self.of.caller,
                "service": self.of.service,
                "action": self.of.action,
                "times": (self.times == Times::Once).then_some(1),
                "fault": self.fault.order(speed),
            }]);
            scene.bed.world.faults(&order).await
        };
        let finish = play(self.scenario, options, order, nothing).await?;
        finish.sound()?;
        let recorded = &recording.scenarios[&self.scenario];
        if finish.scene.bed.world.faults_struck().await? <= recorded.struck {
            return Ok(false);
        }
        self.judge(&finish, &recorded.shape)?;
        Ok(true)
    }

    /// What must have come of the fault.
    fn judge(&self, finish: &Finish, undisturbed: &Value) -> Result<()> {
        // If the answer is lost, the function cannot know that it has announced. Otherwise it announces once.
        ensure!(
            self.loses_the_answer() || finish.told_once(),
            "told twice: {:?}\n{}",
            finish.told,
            finish.scene.story()
        );
        if self.is_answer() {
            // If the answer says that something does not exist, it is left alone. Nothing failed.
            went_well(finish, &self.of.caller)?;
            return self.others_did_their_part(finish, undisturbed);
        }
        if self.times == Times::Once || self.fault == Fault::Slow || self.is_done_without() {
            ensure!(
                finish.shape() == *undisturbed,
                "it ended otherwise:\n{}\n{}",
                difference(undisturbed, &finish.shape()),
                finish.scene.story()
            );
            return Ok(());
        }
        if self.may_be_over() && finish.shape() == *undisturbed {
            return Ok(());
        }
        self.lasting(finish, undisturbed)
    }

    fn is_done_without(&self) -> bool {
        let (caller, action) = (self.of.caller.as_str(), self.of.action.as_str());
        DONE_WITHOUT.contains(&(caller, action)) || SHORTCUTS.contains(&action)
    }

    fn is_answer(&self) -> bool {
        let Fault::Modelled(code, _) = &self.fault else {
            return false;
        };
        ANSWERS.contains(&(self.of.action.as_str(), code.as_str()))
    }

    /// Whether the failed call may no longer matter at the next try. An exchange or a lifecycle action takes minutes,
    /// in a world that moves: by then the instance has left its group, or the tasks have ended. If the answer to a
    /// call got lost, AWS has carried the call out, and the next try finds that.
    fn may_be_over(&self) -> bool {
        !self.scenario.is_side_by_side() || self.loses_the_answer()
    }

    fn loses_the_answer(&self) -> bool {
        matches!(self.fault, Fault::AnswerLost | Fault::Truncated)
    }

    /// What a fault that lasts must leave behind.
    fn lasting(&self, finish: &Finish, undisturbed: &Value) -> Result<()> {
        let story = || finish.scene.story();
        if TOLD_AS_LOST.contains(&(self.of.caller.as_str(), self.of.action.as_str())) {
            let reports = finish.scene.reports_of(&self.of.caller);
            let mut scripts = reports.iter().flat_map(|report| &report.scripts);
            ensure!(
                scripts.any(|script| !script.saved),
                "no loss is told\n{}",
                story()
            );
            return self.others_did_their_part(finish, undisturbed);
        }
        let dead = finish.dead_letters(&self.of.caller)?;
        ensure!(dead > 0, "no dead letter\n{}", story());
        let reasons = finish.reasons(&self.of.caller);
        let words = match &self.fault {
            Fault::Modelled(code, _) => vec![code.as_str()],
            fault => fault.words().to_vec(),
        };
        let says_why = words.iter().any(|word| reasons.contains(word));
        ensure!(
            says_why && reasons.contains(&self.of.action),
            "no reason to understand: {reasons}\n{}",
            story()
        );
        self.others_did_their_part(finish, undisturbed)
    }

    /// Only the function with the fault leaves anything undone.
    fn others_did_their_part(&self, finish: &Finish, undisturbed: &Value) -> Result<()> {
        let shape = finish.shape();
        let others = EVERY_FUNCTION.into_iter();
        for other in others.filter(|other| *other != self.of.caller) {
            went_well(finish, other)?;
            ensure!(
                !self.scenario.is_side_by_side() || shape[other] == undisturbed[other],
                "{other} did not do its part:\n{}\n{}",
                difference(&undisturbed[other], &shape[other]),
                finish.scene.story()
            );
        }
        Ok(())
    }
}

/// Neither a dead letter nor a failure.
fn went_well(finish: &Finish, function: &str) -> Result<()> {
    let story = || finish.scene.story();
    ensure!(
        finish.dead_letters(function)? == 0,
        "{function} has dead letters\n{}",
        story()
    );
    let reports = finish.scene.reports_of(function);
    let failed = reports.iter().find(|report| report.outcome == Outcome::Failed);
    ensure!(failed.is_none(), "{function} failed: {failed:?}\n{}", story());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passing_fault_changes_nothing_and_a_lasting_one_ends_as_a_dead_letter() -> Result<()> {
    let recording = Recording::shared().await?;
    let trials = chosen(|| Trial::all(&recording), || Trial::covering(&recording));
    let seen: BTreeSet<&Fault> = trials.iter().map(|trial| &trial.fault).collect();
    for fault in &Fault::OF_ANY_CALL {
        ensure!(
            seen.contains(fault) || only().is_some(),
            "{fault:?} is not played"
        );
    }
    let recording = &recording;
    let plays = trials
        .into_iter()
        .map(|trial| async move { trial.play(recording).await });
    all_well("fault matrix", several(plays).await)
}
