//! A world to act in: what it was like at the start, what happens, what became of it.

use std::collections::BTreeSet;
use std::sync::LazyLock;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use serde_json::{Value, json};
use spot_handoff::report::Report;
use testbed::state::{Group, Instance, Task};
use testbed::{Call, Options, State, Testbed};
use tokio::sync::{Semaphore, SemaphorePermit};

/// The longest real time that anything here may take: far more than it takes even on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(120);
/// Real time between two looks. It is a second or two of a fast world, so nothing here is over before a look sees it.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Fast, and with tasks that are stopped at once: an exchange is over in a world's minute.
pub fn quick() -> Options {
    Options::default()
        .speed(20.0)
        .parameter("StandaloneTasks", "stop-now")
}

/// A pace at which a look certainly sees even what lasts for seconds of the world.
pub fn watched() -> Options {
    quick().speed(5.0)
}

/// Worlds for each processor, of all tests together. Mostly they wait for something. But if a world has to wait for
/// the machine, its time goes on, and its notice is over sooner.
const WORLDS_A_PROCESSOR: usize = 6;

async fn place() -> Result<SemaphorePermit<'static>> {
    static PLACES: LazyLock<Semaphore> = LazyLock::new(|| {
        let processors = std::thread::available_parallelism().map_or(2, usize::from);
        Semaphore::new(processors * WORLDS_A_PROCESSOR)
    });
    Ok(PLACES.acquire().await?)
}

/// A world with the functions at work.
pub struct Scene {
    /// The bed.
    pub bed: Testbed,
    /// What everything was like at the start.
    pub before: State,
    /// The stories of failures count from here.
    began: Timestamp,
    _place: SemaphorePermit<'static>,
}

impl Scene {
    /// Starts a world, as soon as there is room for one more.
    pub async fn start(options: Options) -> Result<Self> {
        let place = place().await?;
        let bed = Testbed::start(options).await?;
        let before = bed.world.state().await?;
        let began = bed.world.clock().now();
        Ok(Self {
            bed,
            before,
            began,
            _place: place,
        })
    }

    /// The world's time.
    pub fn now(&self) -> Timestamp {
        self.bed.world.clock().now()
    }

    /// The first instance of a group, as it was at the start.
    pub fn first_of(&self, group: &str) -> Result<String> {
        self.nth_of(group, 0)
    }

    /// An instance of a group, as it was at the start.
    pub fn nth_of(&self, group: &str, index: usize) -> Result<String> {
        let group = self
            .before
            .group(group)
            .with_context(|| format!("no group {group}"))?;
        Ok(group
            .instances
            .get(index)
            .context("the group is smaller")?
            .id
            .clone())
    }

    /// Puts an event on the bus.
    pub async fn put(&self, event: &Value) -> Result<Vec<String>> {
        self.bed.put_event(event).await
    }

    /// Has AWS do something.
    pub async fn happen(&self, what: Value) -> Result<Value> {
        self.bed.world.happen(&what).await
    }

    /// Orders one fault.
    pub async fn fault(&self, action: &str, times: Option<u32>, fault: Value) -> Result<()> {
        let order = json!([{ "action": action, "times": times, "fault": fault }]);
        self.bed.world.faults(&order).await
    }

    /// What is where, now.
    pub async fn state(&self) -> Result<State> {
        self.bed.world.state().await
    }

    /// Waits until the state is as wanted.
    pub async fn until(&self, what: &str, enough: impl Fn(&State) -> bool) -> Result<State> {
        let closes = tokio::time::Instant::now() + PATIENCE;
        loop {
            let state = self.state().await?;
            if enough(&state) {
                return Ok(state);
            }
            if tokio::time::Instant::now() > closes {
                bail!("it never came to this: {what}\n{}", self.story());
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Waits until a function has reported so.
    pub async fn reported(&self, what: &str, is_it: impl Fn(&Report) -> bool) -> Result<Report> {
        let waiting = async {
            loop {
                let position = self.bed.journal().len();
                if let Some(report) = self.reports().into_iter().find(&is_it) {
                    return report;
                }
                self.bed.journal().beyond(position).await;
            }
        };
        let found = tokio::time::timeout(PATIENCE, waiting).await;
        found.map_err(|_| anyhow::anyhow!("nobody reported this: {what}\n{}", self.story()))
    }

    /// Waits for some seconds of the world.
    pub async fn pass(&self, seconds: u64) {
        let span = self.bed.world.clock().real_span(Duration::from_secs(seconds));
        tokio::time::sleep(span).await;
    }

    /// Waits until an instance is draining. Answers with the state then, and with the replacement that came before.
    pub async fn drained_after_its_replacement(&self, old: &str) -> Result<(State, String)> {
        let draining = self
            .until("the old instance is draining", |state| {
                !is_registered_as(state, old, "ACTIVE")
            })
            .await?;
        let new = self.new_instances(&draining)[0].id.clone();
        assert!(is_registered_as(&draining, &new, "ACTIVE"), "{}", self.story());
        Ok((draining, new))
    }

    /// Waits until the functions have nothing more to do, follow-ups included, and AWS has done what was asked of it.
    pub async fn settled(&self) -> Result<State> {
        self.bed
            .until_settled(PATIENCE)
            .await
            .with_context(|| self.story())?;
        self.until("no instance or task is on its way in or out", |state| {
            let members = state.groups.iter().flat_map(|group| &group.instances);
            let rests = |lifecycle: &str| matches!(lifecycle, "InService" | "Terminating:Wait");
            let services = state.clusters.iter().flat_map(|cluster| &cluster.services);
            members.into_iter().all(|member| rests(&member.lifecycle))
                && state
                    .groups
                    .iter()
                    .all(|group| i64::try_from(serving(group).len()) == Ok(group.desired))
                && services
                    .into_iter()
                    .all(|service| service.running == service.desired)
        })
        .await
    }

    /// The instances whose exchanges are under way, as the table says.
    pub async fn under_way(&self) -> Result<BTreeSet<String>> {
        let items = self.bed.world.items("exchanges").await?;
        let under_way = items.iter().filter_map(|item| item["under-way"].as_object());
        Ok(under_way
            .flat_map(|exchanges| exchanges.keys().cloned())
            .collect())
    }

    /// Every report so far.
    pub fn reports(&self) -> Vec<Report> {
        self.bed.reports()
    }

    /// The reports of a function.
    pub fn reports_of(&self, function: &str) -> Vec<Report> {
        self.reports()
            .into_iter()
            .filter(|report| report.function == function)
            .collect()
    }

    /// The successful calls of an action by the functions.
    pub async fn calls(&self, action: &str) -> Result<Vec<Call>> {
        let calls = self.bed.world.calls().await?;
        Ok(calls
            .into_iter()
            .filter(|call| call.action == action && call.status == 200)
            .collect())
    }

    /// What the functions said, for whoever has to find out why a test failed.
    pub fn story(&self) -> String {
        let lines = self.reports().into_iter().map(|report| {
            let seconds = report.started_at.duration_since(self.began).as_secs_f64();
            let details = report.actions.iter().map(|line| {
                format!(
                    "\n           {} {:?}: {}",
                    line.action,
                    line.result,
                    line.error.as_deref().unwrap_or("-")
                )
            });
            format!(
                "{seconds:7.1} s  {}{}",
                report.message,
                details.collect::<String>()
            )
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    /// The instances that were not there at the start, running or not.
    pub fn new_instances<'a>(&self, state: &'a State) -> Vec<&'a Instance> {
        let known: BTreeSet<&str> = self.before.instances.iter().map(|one| one.id.as_str()).collect();
        state
            .instances
            .iter()
            .filter(|one| !known.contains(one.id.as_str()))
            .collect()
    }

    /// A task as it was at the start.
    pub fn task(&self, family: &str, instance: &str) -> Result<&Task> {
        let mut tasks = self.before.tasks_on(instance);
        tasks
            .find(|task| task.family == family)
            .with_context(|| format!("no {family} on {instance}"))
    }
}

/// The instances of a group that serve.
pub fn serving(group: &Group) -> Vec<&str> {
    let members = group
        .instances
        .iter()
        .filter(|member| member.lifecycle == "InService");
    members.map(|member| member.id.as_str()).collect()
}

/// Whether an instance registered in its cluster has this status there.
pub fn is_registered_as(state: &State, instance: &str, status: &str) -> bool {
    state
        .registration(instance)
        .is_some_and(|(_, found)| found.status == status)
}

/// Whether a report leaves something alone, for a reason that contains these words.
pub fn skips(report: &Report, words: &str) -> bool {
    report
        .skipped
        .iter()
        .any(|skipped| skipped.reason.contains(words))
}

/// Whether a report has an action.
pub fn acts(report: &Report, action: &str) -> bool {
    report
        .actions
        .iter()
        .any(|line| line.action.to_string() == action)
}
