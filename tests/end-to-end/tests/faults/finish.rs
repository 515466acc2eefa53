//! A scenario from beginning to end, and what holds at the end, whatever went wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use end_to_end::scene::{PATIENCE, Scene, serving};
use end_to_end::untouched;
use serde_json::Value;
use spot_handoff::notice::NOTICE;
use spot_handoff::report::{Outcome, Report};
use testbed::state::Task;
use testbed::{Event, Options, Outcome as Ended, State};
use tokio::time::{Instant, sleep};

use crate::EVERY_FUNCTION;
use crate::scenarios::Scenario;

/// Real time within which every instance has been announced, once nothing else is left to do.
const TOLD_WITHIN: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(100);

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
    /// What was announced about which instance, by message and by event, as often as it was announced.
    pub told: Vec<String>,
    /// The instances that go.
    pub gone: Vec<String>,
    /// Whether Lambda gives invocations up sooner than the template says.
    hurried: bool,
}

/// Plays a scenario to its end. `before` orders the faults, or they happen `meanwhile`.
pub async fn play(
    scenario: Scenario,
    options: Options,
    before: impl AsyncFnOnce(&Scene) -> Result<()>,
    meanwhile: impl AsyncFnOnce(&Scene) -> Result<()>,
) -> Result<Finish> {
    let (hurried, announces) = (options.timeout.is_some(), options.announce);
    // In a world at real speed, a hand-off takes its two minutes.
    let patience = PATIENCE + NOTICE.unsigned_abs().div_f64(options.speed);
    let scene = Scene::start(options).await?;
    scenario.prepare(&scene).await?;
    before(&scene).await?;
    // Together: a scenario may wait itself for what goes wrong.
    let (gone, ()) = tokio::try_join!(scenario.begin(&scene), meanwhile(&scene))?;
    let after = if scenario.is_side_by_side() {
        scene
            .bed
            .until_settled(patience)
            .await
            .with_context(|| scene.story())?;
        scene.state().await?
    } else {
        scene.settled().await?
    };
    let told = if announces {
        all_told(&scene, &gone).await?
    } else {
        told(&scene, &gone).await?
    };
    Ok(Finish {
        scene,
        after,
        told,
        gone,
        hurried,
    })
}

/// What was announced, as soon as all are announced. Under a fault, that may never be.
async fn all_told(scene: &Scene, gone: &[String]) -> Result<Vec<String>> {
    let closes = Instant::now() + TOLD_WITHIN;
    loop {
        let told = told(scene, gone).await?;
        if untold(&told, gone).is_none() || Instant::now() > closes {
            return Ok(told);
        }
        sleep(LOOK_AGAIN).await;
    }
}

/// One of these of which nothing is told.
fn untold<'a>(told: &[String], gone: &'a [String]) -> Option<&'a String> {
    let mut gone = gone.iter();
    gone.find(|instance| !told.iter().any(|line| line.contains(instance.as_str())))
}

async fn told(scene: &Scene, gone: &[String]) -> Result<Vec<String>> {
    let mut told = vec![];
    for message in scene.bed.world.notifications().await? {
        let subject = message.subject.unwrap_or_default();
        if subject.contains("Capacity Block ends") {
            told.push("message of a Capacity Block".to_owned());
            continue;
        }
        // Hand-offs of the same seconds share a message, which has a line for each of them.
        let lines = || std::iter::once(subject.as_str()).chain(message.message.lines());
        let mut about = gone
            .iter()
            .filter_map(|instance| {
                let said =
                    |words: &str| lines().any(|line| line.starts_with(&format!("{words}: {instance}")));
                let outcome = if said("FAILED") {
                    "failed"
                } else if said("Handed off") {
                    "handed-off"
                } else if said("Handed off with losses") {
                    "handed-off-with-losses"
                } else if said("STILL SHORT") {
                    "still-short"
                } else {
                    return None;
                };
                Some(format!("message {instance} {outcome}"))
            })
            .peekable();
        about
            .peek()
            .with_context(|| format!("whom is this about? {subject}"))?;
        told.extend(about);
    }
    for event in scene.bed.world.events().await? {
        if event["detail-type"] == "Spot Instance Handed Off" {
            let detail = &event["detail"];
            told.push(format!(
                "event {} {}",
                text(&detail["instance-id"]),
                text(&detail["outcome"])
            ));
        }
    }
    told.sort();
    Ok(told)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

impl Finish {
    /// What holds, whatever went wrong: no crash, and nothing touched that no event named.
    pub fn sound(&self) -> Result<()> {
        let story = self.scene.story();
        for entry in self.scene.bed.journal().since(0) {
            match entry.event {
                Event::Text(text) => anyhow::bail!("{} wrote: {text}\n{story}", entry.function),
                Event::Ended { outcome, .. } => {
                    // A busy machine may not let a function end in the shortened time.
                    let hurried = self.hurried && matches!(outcome, Ended::TimedOut(_));
                    let killed = outcome == Ended::Crashed("killed".to_owned());
                    let fine = !outcome.is_failure() || killed || hurried;
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
        self.given_up_is_what_failed()?;
        // A replacement for each. If an exchange failed for good, one more may have come for it.
        let new = self.scene.new_instances(after);
        let running = new.iter().filter(|one| one.state == "running").count();
        ensure!(
            running <= self.gone.len(),
            "{running} launched for {:?}\n{story}",
            self.gone
        );
        Ok(())
    }

    /// A message is a dead letter if and only if its last report says that it failed. So no message is lost.
    fn given_up_is_what_failed(&self) -> Result<()> {
        for function in EVERY_FUNCTION {
            let mut last: BTreeMap<_, Report> = BTreeMap::new();
            for report in self.scene.reports_of(function) {
                let about = (
                    report.event_id.clone(),
                    report.instance.clone(),
                    report.signal.clone(),
                );
                last.insert(about, report);
            }
            let failed = last
                .into_values()
                .filter(|report| report.outcome == Outcome::Failed);
            let failed: BTreeSet<String> = failed.map(|report| report.event_id).collect();
            let name = &self.scene.bed.dead_letter_queue(function)?.name;
            let bodies = self.after.queue(name).map_or(&[][..], |queue| &queue.bodies);
            let mut dead: Vec<BTreeSet<String>> = vec![];
            for body in bodies {
                let body: Value = serde_json::from_str(body)?;
                let about_many = body["detail"]["notices"].as_array();
                let ids = about_many.into_iter().flatten().map(|one| &one["event-id"]);
                let ids = ids.chain([&body["id"]]);
                dead.push(ids.map(|id| text(id).to_owned()).collect());
            }
            // A message about several instances comes back, and is given up, because of the one that failed.
            let all: BTreeSet<String> = dead.iter().flatten().cloned().collect();
            ensure!(
                failed.is_subset(&all) && dead.iter().all(|ids| !ids.is_disjoint(&failed)),
                "{function} failed with {failed:?} and gave up {dead:?}\n{}",
                self.scene.story()
            );
        }
        Ok(())
    }

    /// Whether a function's process was killed.
    pub fn was_killed(&self) -> bool {
        let killed = Ended::Crashed("killed".to_owned());
        let entries = self.scene.bed.journal().since(0);
        entries
            .iter()
            .any(|entry| matches!(&entry.event, Event::Ended { outcome, .. } if *outcome == killed))
    }

    /// Something of each instance is told.
    pub fn tells_of_all(&self) -> Result<()> {
        let untold = untold(&self.told, &self.gone);
        ensure!(
            untold.is_none(),
            "nothing is told of {untold:?}\n{}",
            self.scene.story()
        );
        Ok(())
    }

    /// Whether nothing is told twice.
    pub fn told_once(&self) -> bool {
        self.told.windows(2).all(|two| two[0] != two[1])
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

/// The tasks of all clusters.
pub fn all_tasks(state: &State) -> impl Iterator<Item = &Task> {
    state.clusters.iter().flat_map(|cluster| &cluster.tasks)
}
