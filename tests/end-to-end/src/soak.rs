//! A soak: mixed events and passing faults for minutes, and what has to hold all the while.
//!
//! What happens is drawn from a seed, so that a run that fails can be repeated as far as the machine's own timing allows.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use jiff::SignedDuration;
use serde_json::{Value, json};
use spot_handoff::report::{ActionKind, ActionResult, Outcome};
use testbed::{Event, FUNCTIONS, Options, State};

use crate::clients::Clients;
use crate::dead_letters;
use crate::events;
use crate::invariants::nobody_runs_outside_a_group;
use crate::scene::{Scene, serving};
use crate::untouched;

/// Groups that instances are taken from. The others have to stay as they are.
const GROUPS: &[&str] = &["inference", "hooked", "mixed", "storm-1", "storm-2", "storm-3"];
/// Real time between two events.
const BETWEEN: Duration = Duration::from_millis(1500);
/// How many instances of a group may be on their way out at a time.
const AT_A_TIME: usize = 2;
/// How much more memory a process may have than when it was warm, for buffers of connections and for caches.
const GROWTH_BYTES: u64 = 8 << 20;

/// What a soak came to.
#[derive(Debug, Default)]
#[allow(missing_docs)]
pub struct Figures {
    pub events: usize,
    pub copies: usize,
    pub faults: u64,
    pub retries: usize,
    pub dead_letters: usize,
    pub lost: usize,
    pub doomed: usize,
    pub replacements: usize,
    /// Replacements that were one too many, and went again.
    pub given_back: usize,
    /// Resident bytes of each function when it was warm, and at the end.
    pub memory: BTreeMap<&'static str, (u64, u64)>,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "events        {} ({} of them twice)", self.events, self.copies)?;
        writeln!(f, "faults        {}", self.faults)?;
        writeln!(f, "retries       {}", self.retries)?;
        writeln!(f, "dead letters  {}", self.dead_letters)?;
        writeln!(f, "lost          {}", self.lost)?;
        writeln!(
            f,
            "replacements  {} for {} instances, {} given back",
            self.replacements, self.doomed, self.given_back
        )?;
        for (function, (start, end)) in &self.memory {
            let megabytes = |bytes: &u64| *bytes as f64 / f64::from(1 << 20);
            writeln!(
                f,
                "memory        {function}: {:.1} MB warm, {:.1} MB at the end",
                megabytes(start),
                megabytes(end)
            )?;
        }
        Ok(())
    }
}

/// A notice that was sent, and the functions that have to answer for it.
struct Sent {
    id: String,
    functions: Vec<&'static str>,
}

/// Runs for this long, in real time.
///
/// # Errors
/// If an invariant does not hold. The message says which.
pub async fn run(span: Duration, seed: u64) -> Result<Figures> {
    let mut random = fastrand::Rng::with_seed(seed);
    let options = Options {
        storm: Some(json!({ "groups": 3, "instances": 8, "tasks": 2 })),
        ..Options::default()
            .speed(10.0)
            .parameter("StandaloneTasks", "stop-now")
    };
    let scene = Scene::start(options).await?;
    let mut figures = Figures::default();
    let mut sent: Vec<Sent> = vec![];
    let mut doomed = BTreeSet::new();
    let mut warm = BTreeMap::new();
    let began = Instant::now();
    while began.elapsed() < span {
        let state = scene.state().await?;
        holds_now(&scene, &state)?;
        if let Some(instance) = draw(&mut random, &state, &doomed) {
            doomed.insert(instance.clone());
            disturb(&mut random, &scene).await?;
            let (event, functions) = notice(&mut random, &scene, &instance)?;
            let copies = if random.u8(..) < 50 { 2 } else { 1 };
            for _ in 0..copies {
                scene.put(&event).await?;
            }
            figures.events += 1;
            figures.copies += copies - 1;
            let id = event["id"].as_str().unwrap_or_default().to_owned();
            sent.push(Sent { id, functions });
        }
        if warm.is_empty() && began.elapsed() > span / 4 {
            warm = memory(&scene);
        }
        tokio::time::sleep(BETWEEN).await;
    }
    scene.bed.world.clear_faults().await?;
    let after = scene.settled().await?;
    holds_now(&scene, &after)?;
    figures.faults = scene.bed.world.faults_struck().await?;
    figures.doomed = doomed.len();
    figures.replacements = scene.new_instances(&after).len();
    figures.given_back = given_back(&scene);
    figures.dead_letters = dead_letters(&after).len();
    figures.retries = retries(&scene);
    figures.lost = sent.iter().map(|sent| lost(sent, &scene, &after)).sum();
    let cold = memory(&scene);
    for function in FUNCTIONS {
        let end = cold.get(function).copied().unwrap_or_default();
        let start = warm.get(function).copied().unwrap_or(end);
        figures.memory.insert(function, (start, end));
    }
    holds_at_the_end(&scene, &after, &doomed, &figures).await?;
    Ok(figures)
}

/// An instance that serves, of a group that can spare it.
fn draw(random: &mut fastrand::Rng, state: &State, doomed: &BTreeSet<String>) -> Option<String> {
    let group = state.group(GROUPS[random.usize(..GROUPS.len())])?;
    let going = group
        .instances
        .iter()
        .filter(|one| doomed.contains(&one.id))
        .count();
    let fresh: Vec<&str> = serving(group)
        .into_iter()
        .filter(|id| !doomed.contains(*id))
        .collect();
    let complete = i64::try_from(serving(group).len()).is_ok_and(|serving| serving >= group.desired);
    (going < AT_A_TIME && complete && !fresh.is_empty())
        .then(|| fresh[random.usize(..fresh.len())].to_owned())
}

/// The notice about the instance, and the functions that have to answer it.
fn notice(random: &mut fastrand::Rng, scene: &Scene, instance: &str) -> Result<(Value, Vec<&'static str>)> {
    let now = scene.now();
    if random.u8(..) < 170 {
        return Ok((events::interruption(instance, now)?, FUNCTIONS.to_vec()));
    }
    // A retirement is exchanged as a recommendation is, and nothing holds it back.
    let starts = now + SignedDuration::from_hours(48);
    Ok((events::retirement(instance, starts, now)?, FUNCTIONS.to_vec()))
}

/// A fault that passes, for one of the next calls of one of the functions; often none.
async fn disturb(random: &mut fastrand::Rng, scene: &Scene) -> Result<()> {
    let faults = [
        json!({ "kind": "throttle" }),
        json!({ "kind": "error", "code": "InternalFailure", "status": 500 }),
        json!({ "kind": "http", "status": 503 }),
        json!({ "kind": "reset" }),
        json!({ "kind": "truncate" }),
        json!({ "kind": "lost-answer" }),
        json!({ "kind": "slow", "ms": 3000 }),
        json!({ "kind": "denied" }),
    ];
    for _ in 0..random.usize(0..4) {
        let order = json!([{
            "caller": FUNCTIONS[random.usize(..FUNCTIONS.len())],
            "skip": random.u32(0..6),
            "times": 1,
            "fault": faults[random.usize(..faults.len())],
        }]);
        scene.bed.world.faults(&order).await?;
    }
    Ok(())
}

/// What holds at any moment.
fn holds_now(scene: &Scene, state: &State) -> Result<()> {
    ensure!(
        untouched(state) == untouched(&scene.before),
        "web is touched\n{}",
        scene.story()
    );
    for group in &state.groups {
        ensure!(
            (group.min..=group.max).contains(&group.desired),
            "{} wants {} instances\n{}",
            group.name,
            group.desired,
            scene.story()
        );
    }
    for entry in scene.bed.journal().since(0) {
        match entry.event {
            Event::Text(text) => anyhow::bail!("{} wrote: {text}", entry.function),
            Event::Ended { outcome, .. } => ensure!(!outcome.is_failure(), "{} {outcome}", entry.function),
            _ => {}
        }
    }
    Ok(())
}

async fn holds_at_the_end(
    scene: &Scene,
    after: &State,
    doomed: &BTreeSet<String>,
    figures: &Figures,
) -> Result<()> {
    for before in &scene.before.groups {
        let group = after.group(&before.name).context("a group")?;
        ensure!(
            group.desired == before.desired && serving(group).len() == serving(before).len(),
            "{} had {} instances and has {}\n{}",
            before.name,
            before.desired,
            group.desired,
            scene.story()
        );
    }
    let staying = doomed.iter().find(|id| after.group_of(id).is_some());
    ensure!(
        staying.is_none(),
        "{staying:?} is still in its group\n{}",
        scene.story()
    );
    // Two copies of a warning at the same moment may see the load balancer before and after a target of the instance
    // may go. One raises the capacity, the other lets the instance leave. Then the instance that comes for the raise
    // is given back, unless the raise is lowered before one comes.
    let needed = figures.doomed..=figures.doomed + figures.given_back;
    ensure!(
        needed.contains(&figures.replacements) && figures.given_back <= figures.copies,
        "{} replacements for {} instances, {} given back\n{}\n{}",
        figures.replacements,
        figures.doomed,
        figures.given_back,
        activities(scene, doomed).await?,
        scene.story()
    );
    ensure!(
        figures.lost == 0,
        "{} notices are lost\n{}",
        figures.lost,
        scene.story()
    );
    for (function, (start, end)) in &figures.memory {
        ensure!(
            *end <= start + GROWTH_BYTES,
            "{function} grew from {start} to {end} bytes"
        );
    }
    nobody_runs_after_the_notice(scene, after)
}

/// Instances that AWS has not taken yet may still run.
fn nobody_runs_after_the_notice(scene: &Scene, after: &State) -> Result<()> {
    let mut over = after.clone();
    over.instances
        .retain(|one| one.group.is_some() || one.state != "running");
    nobody_runs_outside_a_group(scene, &over)
}

/// How many functions neither handled a notice nor gave it up as a dead letter.
fn lost(sent: &Sent, scene: &Scene, after: &State) -> usize {
    let reports = scene.reports();
    let handled = |function: &&&str| {
        reports.iter().any(|report| {
            report.function == **function && report.event_id == sent.id && report.outcome != Outcome::Failed
        })
    };
    let is_dead_letter = dead_letters(after).iter().any(|body| body.contains(&sent.id));
    let unhandled = sent
        .functions
        .iter()
        .filter(|function| !handled(function))
        .count();
    if is_dead_letter { 0 } else { unhandled }
}

/// How often a raise was taken back: with the instance that had come for it, or only by number. If the answer to that
/// call got lost, the next try finds it done.
fn given_back(scene: &Scene) -> usize {
    let reports = scene.reports_of("replace-capacity");
    let actions = reports.iter().flat_map(|report| &report.actions);
    let gives_back = |kind: ActionKind| {
        matches!(
            kind,
            ActionKind::GiveCapacityBack | ActionKind::LowerDesiredCapacity
        )
    };
    let is_done = |result: ActionResult| matches!(result, ActionResult::Done | ActionResult::AlreadyDone);
    actions
        .filter(|one| gives_back(one.action) && is_done(one.result))
        .count()
}

/// What Auto Scaling did and why, oldest first: this shows why there are too many instances.
async fn activities(scene: &Scene, doomed: &BTreeSet<String>) -> Result<String> {
    let clients = Clients::of(&scene.bed)?;
    let answer = clients.autoscaling.describe_scaling_activities().send().await?;
    let lines = answer.activities().iter().rev().map(|activity| {
        let group = activity.auto_scaling_group_name().unwrap_or_default();
        let description = activity.description().unwrap_or_default();
        format!("{group}: {description}: {}", activity.cause().unwrap_or_default())
    });
    let lines: Vec<String> = lines.collect();
    Ok(format!("under notice: {doomed:?}\n{}", lines.join("\n")))
}

fn retries(scene: &Scene) -> usize {
    let entries = scene.bed.journal().since(0);
    let failed = entries.iter().map(|entry| match &entry.event {
        Event::Batch { failed, .. } => failed.len(),
        _ => 0,
    });
    failed.sum()
}

/// Resident bytes of the largest process of each function, where `/proc` tells.
fn memory(scene: &Scene) -> BTreeMap<&'static str, u64> {
    let resident = |process: u32| -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
        let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
        Some(kilobytes * 1024)
    };
    FUNCTIONS
        .into_iter()
        .filter_map(|function| {
            let processes = scene.bed.processes(function).into_iter();
            Some((function, processes.filter_map(resident).max()?))
        })
        .collect()
}
