//! Every action of every function, times every fault, times once or always.
//!
//! By default a part is played that has each action and each fault, once and always; `EVERY_FAULT=1` plays all.

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

/// When an invocation is given up under a fault that lasts, in real time.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(6);

/// Reads that a hand-off goes on without, also when they always fail: each has a default that errs on the safe side.
const DONE_WITHOUT: &[(&str, &str)] = &[
    // A target whose deregistration delay is not known is given the longest time to drain.
    ("deregister-targets", "DescribeTargetGroupAttributes"),
    // A load balancer of unknown kind counts as the one for which most is held.
    ("deregister-targets", "DescribeTargetGroups"),
    // Without the table it is decided by what is seen, and a warning says so.
    ("deregister-targets", "BatchGetItem"),
    ("deregister-targets", "PutItem"),
    // The same for an instance whose target may have to stay. Where the health of targets is not known, what is in service
    // in the group counts as healthy.
    ("replace-capacity", "DescribeTargetGroupAttributes"),
    ("replace-capacity", "DescribeTargetGroups"),
    ("replace-capacity", "DescribeTargetHealth"),
    ("replace-capacity", "BatchGetItem"),
    // A re-run travels in the message about its task.
    ("drain-tasks", "PutItem"),
    // Reports are in the log as well. What people are to be told, and cannot gather, goes out at once.
    ("deregister-targets", "BatchWriteItem"),
    ("drain-tasks", "BatchWriteItem"),
    ("replace-capacity", "BatchWriteItem"),
    ("announce-hand-offs", "BatchWriteItem"),
    // An event that may have been put before is put again: twice is better than never.
    ("announce-hand-offs", "PutItem"),
    // A stop script that runs twice is better than none; and the instance waits until it is over whatever became of it.
    ("run-commands", "BatchGetItem"),
    ("run-commands", "PutItem"),
    ("run-commands", "BatchWriteItem"),
    ("drain-tasks", "BatchGetItem"),
    // Where its targets cannot be seen, a stop script runs when its last moment comes.
    ("run-commands", "DescribeTargetHealth"),
    // A document that cannot be read gets no parameters.
    ("run-commands", "DescribeDocument"),
    // Sizes of clusters, which only decide between two ways to find the same container instances.
    ("deregister-targets", "DescribeClusters"),
    ("drain-tasks", "DescribeClusters"),
    // Which services are daemons, where the instance goes already and service tasks are left to ECS.
    ("drain-tasks", "ListServices"),
    // A task whose stopTimeout is not known is stopped in time for the longest there is.
    ("drain-tasks", "DescribeTaskDefinition"),
    // Without a hook's timeout heartbeats come as often as the shortest one needs.
    ("drain-tasks", "DescribeLifecycleHooks"),
    // An instance whose hooks are not known is detached, as where none waits.
    ("replace-capacity", "DescribeLifecycleHooks"),
    // Why launches fail: a group is watched without, and On-Demand does not fill it.
    ("replace-capacity", "DescribeScalingActivities"),
    // A mixture that cannot be changed: the report says so, and the next look asks again.
    ("replace-capacity", "UpdateAutoScalingGroup"),
];

/// Shortcuts past Lambda's own polling, which do the same later: Lambda hands over what is in the queue, what was not deleted
/// is found done, the visibility timeout brings back what failed.
const SHORTCUTS: &[&str] = &[
    "ReceiveMessage",
    "DeleteMessageBatch",
    "ChangeMessageVisibilityBatch",
];

/// Errors that are answers, not failures: what was asked for is so already, or there is nothing to ask.
const ANSWERS: &[(&str, &str)] = &[
    // A target group that was deleted has no targets.
    ("DeregisterTargets", "TargetGroupNotFound"),
    ("DescribeTargetHealth", "TargetGroupNotFound"),
    // These instances, or this document, can run no stop script: a loss, and nothing to try again.
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

/// What is told as a loss at the end, and gives no dead letter: there is nothing left to try.
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

    /// What goes on by looks of its own, or at what came back, and what few events lead to, can also fail in the middle of it.
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

    /// Each action that changes something with a fault that passes and one that lasts, each read with one of them, and among
    /// them each fault; which ones changes from action to action, and is the same each time.
    fn covering(recording: &Recording) -> Vec<Self> {
        let mut trials = vec![];
        // In a world as slow as the shortcuts need, nobody waits until it is told again.
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

    /// What lasts is no other for an invocation that is given up sooner: calls are tried again until its end.
    fn options(&self) -> Options {
        let options = Options {
            timeout: (self.times == Times::Always).then_some(GIVEN_UP_AFTER),
            ..self.scenario.options()
        };
        // A message that Lambda has handed over is hidden for as long in real time in a faster world, in which the notice
        // would be long over when it comes again.
        if self.of.action == "ChangeMessageVisibilityBatch" {
            options.speed(1.0)
        } else {
            options
        }
    }

    /// In the first scenario of those that had the call which has it again.
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
        // Where the answer is lost nobody knows that it was told; else it is told once.
        ensure!(
            self.loses_the_answer() || finish.told_once(),
            "told twice: {:?}\n{}",
            finish.told,
            finish.scene.story()
        );
        if self.is_answer() {
            // What the answer says is not there is left as it is; nothing failed.
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

    /// Whether what failed may be of no matter when it is tried again. An exchange or a lifecycle action goes on for
    /// minutes, in a world that moves: the instance has left its group by then, or the tasks have ended. A call whose answer
    /// was lost was carried out, which the next try finds.
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

    /// No function but the one that suffers the fault leaves anything undone.
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
