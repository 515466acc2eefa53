//! One storm: the fleet, the warnings within a second, and the wait for the end.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::Result;
use fast_aws::{FastOptions, Limits};
use serde_json::{Value, json};
use testbed::{Entry, Event, FUNCTIONS, Journal, MappingOptions, Options, Testbed};
use tokio::time::sleep;

use crate::baseline;
use crate::figures::{Figures, Work};
use crate::fleet::{self, Size};
use crate::processor;

/// What a storm is run with.
#[derive(Debug, Clone)]
pub struct Setting {
    /// The fleet.
    pub size: Size,
    /// Latency and request rates.
    pub limits: Limits,
    /// What differs from the template's event source mappings.
    pub mapping: MappingOptions,
    /// Processes of each function at a time; AWS has a thousand for an account.
    pub processes: usize,
    /// When to give up.
    pub patience: Duration,
    /// The cargo profile of the functions.
    pub profile: Option<&'static str>,
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The size of the fleet.
    pub size: Size,
    /// By function, in the order of [`FUNCTIONS`].
    pub functions: Vec<(String, Figures)>,
    /// Messages in dead-letter queues.
    pub dead_letters: usize,
    /// Invocations, and how many of them began with a cold start.
    pub invocations: (usize, usize),
    /// Whether the wait was given up.
    pub given_up: bool,
    /// Processor time of the functions' processes, where the machine tells it.
    pub processor: Option<Duration>,
}

/// What each function is measured by.
pub fn work_of(function: &str) -> Work {
    match function {
        "deregister-targets" | baseline::BY_DETACHING => Work::Deregister,
        "drain-tasks" | "drain" => Work::Drain,
        _ => Work::Replace,
    }
}

/// Runs one storm with the functions of this project.
///
/// # Errors
/// Where the test bed cannot be started.
pub async fn ours(setting: &Setting) -> Result<Outcome> {
    let fleet = fleet::build(setting.size);
    let bed = fast_aws::start(
        FastOptions {
            fleet: Some(fleet.clone()),
            limits: setting.limits.clone(),
        },
        Options {
            mapping: setting.mapping,
            concurrency: setting.processes,
            // As many as Lambda begins with.
            pollers: 5,
            pollers_grow: true,
            profile: setting.profile,
            ..Options::default()
        },
    )
    .await?;
    // The build of the functions is over by now.
    let before = processor::of_ended_children();
    let aws = fast_aws::of(&bed)?;
    let sent = storm(setting.size.instances, |id, n| {
        aws.put_event(&warning(id, n));
    })
    .await;
    let given_up = !until_over(&bed, setting.patience).await?;
    let record = aws.record();
    let figures = |function: &&str| {
        let figures = Figures::read(&record, function, work_of(function), &fleet, &sent);
        (function.to_string(), figures)
    };
    let functions = FUNCTIONS.iter().map(figures).collect();
    let (dead_letters, invocations) = (aws.dead_letters(), counts(bed.journal()));
    drop(bed);
    Ok(Outcome {
        size: setting.size,
        functions,
        dead_letters,
        invocations,
        given_up,
        processor: used_since(before).await,
    })
}

/// Invocations so far, and how many of them began with a cold start.
pub(crate) fn counts(journal: &Journal) -> (usize, usize) {
    let entries = journal.since(0);
    let cold = |entry: &Entry| match entry.event {
        Event::Invoked { cold, .. } => Some(cold),
        _ => None,
    };
    let invoked: Vec<bool> = entries.iter().filter_map(cold).collect();
    (invoked.len(), invoked.iter().filter(|cold| **cold).count())
}

/// Processor time of the processes that have ended since; a killed one is counted when it has been waited for.
pub(crate) async fn used_since(before: Option<Duration>) -> Option<Duration> {
    sleep(Duration::from_millis(500)).await;
    Some(processor::of_ended_children()?.saturating_sub(before?))
}

/// Sends a warning for every instance, all within a second; answers when each was sent.
pub(crate) async fn storm(instances: usize, mut send: impl FnMut(&str, usize)) -> HashMap<String, Instant> {
    let between = Duration::from_secs(1) / instances.max(1) as u32;
    let began = Instant::now();
    let mut sent = HashMap::new();
    for n in 0..instances {
        let id = fleet::instance_id(n);
        let at = began + between * n as u32;
        sleep(at.saturating_duration_since(Instant::now())).await;
        sent.insert(id.clone(), Instant::now());
        send(&id, n);
    }
    sent
}

/// An interruption warning as EventBridge delivers it: its time has whole seconds.
pub fn warning(instance: &str, n: usize) -> Value {
    json!({
        "version": "0",
        "id": format!("00000000-0000-4000-8000-{n:012x}"),
        "detail-type": "EC2 Spot Instance Interruption Warning",
        "source": "aws.ec2",
        "account": fast_aws::ACCOUNT,
        "time": jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "region": fast_aws::REGION,
        "resources": [format!("arn:aws:ec2:us-east-1a:instance/{instance}")],
        "detail": { "instance-id": instance, "instance-action": "terminate" },
    })
}

/// Waits until every message is done, late stops of standalone tasks aside; whether that came in time.
async fn until_over(bed: &Testbed, patience: Duration) -> Result<bool> {
    let gives_up = Instant::now() + patience;
    loop {
        sleep(Duration::from_millis(100)).await;
        if bed.backlog().await?.is_idle() {
            return Ok(true);
        }
        if Instant::now() > gives_up {
            return Ok(false);
        }
    }
}
