//! One process of a function, from its start to its first answer: the time, the processor and the memory it takes.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use fast_aws::FastAws;
use testbed::{Environment, FunctionSpec, Journal, Outcome};

/// At this memory size, in MB, Lambda gives a function one processor, and a share in proportion below.
/// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html>
const WHOLE_PROCESSOR: f64 = 1769.0;

/// What one start came to.
#[derive(Debug, Clone, Copy)]
pub struct ColdStart {
    /// From the start of the process until it asked for work.
    pub ready: Span,
    /// From then until its first call arrived at AWS.
    pub first_call: Duration,
    /// From getting its first event until the answer.
    pub event: Span,
    /// The most memory that was resident, in KiB.
    pub peak_kib: u64,
}

/// A stretch of time.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    /// How long it took here.
    pub took: Duration,
    /// For how long of it the process computed.
    pub processor: Duration,
}

impl Span {
    /// How long it takes at a memory size. Computing takes longer with a smaller share of the processor; waiting does
    /// not.
    pub fn at_memory(&self, megabytes: u32) -> Duration {
        let slower = (WHOLE_PROCESSOR / f64::from(megabytes)).max(1.0);
        self.took.saturating_sub(self.processor) + self.processor.mul_f64(slower)
    }
}

impl ColdStart {
    /// From the start to the answer.
    pub fn at_memory(&self, megabytes: u32) -> Duration {
        self.ready.at_memory(megabytes) + self.event.at_memory(megabytes)
    }
}

/// Starts a process of a function and hands it an event.
///
/// # Errors
/// Where the process does not start or does not answer, or makes no call, or the system tells nothing about it.
pub async fn measure(
    function: &FunctionSpec,
    aws: &FastAws,
    journal: &Arc<Journal>,
    event: String,
) -> Result<ColdStart> {
    let calls_before = aws.look(|record| record.calls.len());
    let started = Instant::now();
    let environment = Environment::start(function, journal).await;
    let mut environment =
        environment.map_err(|outcome| anyhow::anyhow!("{}: it {outcome}", function.name))?;
    let ready = started.elapsed();
    let process = environment.process_id().context("the process has ended")?;
    let to_ready = processor_time(process)?;

    let handed_over = Instant::now();
    let outcome = environment.invoke("first", event).await;
    let answered = handed_over.elapsed();
    ensure!(
        matches!(outcome, Outcome::Answer(_)),
        "{}: it {outcome}",
        function.name
    );
    let first = aws.look(|record| record.calls.get(calls_before).map(|call| call.began));
    let first = first.with_context(|| format!("{} called nothing of AWS", function.name))?;
    Ok(ColdStart {
        ready: Span {
            took: ready,
            processor: to_ready,
        },
        first_call: first.duration_since(handed_over),
        event: Span {
            took: answered,
            processor: processor_time(process)?.saturating_sub(to_ready),
        },
        peak_kib: peak_memory(process)?,
    })
}

/// The median of each figure on its own, and the most memory of any start.
pub fn medians(starts: &[ColdStart]) -> ColdStart {
    let median = |of: fn(&ColdStart) -> Duration| {
        let mut values: Vec<_> = starts.iter().map(of).collect();
        values.sort();
        values[values.len() / 2]
    };
    ColdStart {
        ready: Span {
            took: median(|start| start.ready.took),
            processor: median(|start| start.ready.processor),
        },
        first_call: median(|start| start.first_call),
        event: Span {
            took: median(|start| start.event.took),
            processor: median(|start| start.event.processor),
        },
        peak_kib: starts
            .iter()
            .map(|start| start.peak_kib)
            .max()
            .unwrap_or_default(),
    }
}

/// How long the threads of a process have computed, to the nanosecond. `/proc/PID/stat` only counts hundredths of a
/// second.
fn processor_time(process: u32) -> Result<Duration> {
    let mut nanoseconds = 0;
    for thread in fs::read_dir(format!("/proc/{process}/task"))? {
        let path = thread?.path().join("schedstat");
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        nanoseconds += computed(&text).with_context(|| format!("cannot make sense of {}", path.display()))?;
    }
    Ok(Duration::from_nanos(nanoseconds))
}

/// The first of the numbers of a `schedstat`.
fn computed(schedstat: &str) -> Option<u64> {
    schedstat.split_whitespace().next()?.parse().ok()
}

/// The most memory that a process has had resident, in KiB.
fn peak_memory(process: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    high_water_mark(&status).context("the system does not tell the most memory of a process")
}

fn high_water_mark(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_computed_takes_longer_by_the_share_of_the_processor_and_what_is_waited_for_does_not() {
        let span = Span {
            took: Duration::from_millis(110),
            processor: Duration::from_millis(10),
        };
        assert_eq!(span.at_memory(1769), span.took);
        assert_eq!(
            span.at_memory(3538),
            span.took,
            "a single thread has no use for a second one"
        );
        assert_eq!(span.at_memory(128).as_micros(), 100_000 + 138_203);
    }

    #[test]
    fn the_system_tells_processor_and_memory() {
        assert_eq!(computed("1500000 20 3\n"), Some(1_500_000));
        assert_eq!(computed(""), None);
        assert_eq!(high_water_mark("VmPeak:\t 9 kB\nVmHWM:\t  1234 kB\n"), Some(1234));
        assert_eq!(high_water_mark("VmRSS:\t 1 kB\n"), None);
    }
}
