//! `docs/footprint.md`: the tables and how they came about.

use std::fmt::Write as _;
use std::time::Duration;

use bench::machine;

use crate::Row;

/// The memory sizes of the curve, in MB; at the last one Lambda gives a whole processor.
const MEMORY_SIZES: [u32; 5] = [128, 256, 512, 1024, 1769];

const HOW: &str = "\
Each function is built as `sam build` does it. It starts anew each time, as a cold function does in Lambda, with the
environment and the settings of `template.yaml`. It runs as a process against a Lambda Runtime API. The AWS that it calls is a
small one in memory, which takes 20 to 60 ms for each call, without TLS. The machine may do other things meanwhile: if *ready*
takes longer than the processor time until then, the function waited for a processor.

- *Ready*: the function asks for work.
- *First call*: its first call arrives at AWS, counted from *ready*.
- *Event*: one interruption warning, from the hand-over until the answer. It is about one of a thousand instances in 10 groups
  and 5 clusters, each with targets and tasks.
- *Memory*: the most resident memory until then.

Times are medians. Memory is the maximum of all starts.

The baseline ([`tests/bench/baseline`](../tests/bench/baseline)) works like the public samples in Python: boto3 and
awslambdaric. Its archive holds a page of Python. The rest comes with Lambda's runtime.
";

const CURVE: &str = "\
Lambda gives a function one processor at 1,769 MB, and a share in proportion below
([Configure Lambda function memory](https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html)). So at a smaller
size, computing takes longer, and waiting does not. The table has milliseconds from the start of the process to the answer,
computed from the processor time above. TLS handshakes, the download and the start of the sandbox come on top. `template.yaml`
takes 512 MB: above it you gain little, and below it the computing time begins to show.
";

const BATCH: &str = "\
A storm of 1,000 notices in one invocation, here without throttling. The time at 512 MB is computed in
the same way:
";

/// All of the document.
pub fn text(starts: usize, ours: &[Row], theirs: &[Row]) -> String {
    let profile = if cfg!(debug_assertions) {
        " --profile dev"
    } else {
        ""
    };
    let mut text = format!(
        "# Footprint\n\n{}, `cargo bench --bench footprint{profile} -- --write`: {starts} starts of each.\n\n{HOW}\n{}",
        machine::described(),
        costs(ours.iter().chain(theirs)),
    );
    let _ = write!(text, "\n{}", ratios(ours, theirs));
    let _ = write!(
        text,
        "\n## Memory size\n\n{CURVE}\n{}",
        curve(ours.iter().chain(theirs))
    );
    let _ = write!(text, "\n{BATCH}\n{}", batches(ours));
    text
}

fn costs<'a>(rows: impl Iterator<Item = &'a Row>) -> String {
    let mut text = "| | archive | ready | first call | event | processor until ready | processor for the event | memory |\n\
                    |---|---:|---:|---:|---:|---:|---:|---:|\n"
        .to_owned();
    for row in rows {
        let archive = row
            .archive_bytes
            .map_or("-".to_owned(), |bytes| format!("{:.2} MB", bytes as f64 / 1e6));
        let figures = match &row.start {
            Some(start) => [
                start.ready.took,
                start.first_call,
                start.event.took,
                start.ready.processor,
                start.event.processor,
            ]
            .map(|duration| format!("{} ms", milliseconds(duration)))
            .into_iter()
            .chain([format!("{:.1} MiB", start.peak_kib as f64 / 1024.0)])
            .collect::<Vec<_>>(),
            None => vec!["-".to_owned(); 6],
        };
        let _ = writeln!(text, "| {} | {archive} | {} |", row.name, figures.join(" | "));
    }
    text
}

/// Our slowest and largest function, compared with their fastest and smallest one.
fn ratios(ours: &[Row], theirs: &[Row]) -> String {
    let most = |of: fn(&bench::cold_start::ColdStart) -> f64| {
        ours.iter()
            .filter_map(|row| row.start.as_ref())
            .map(of)
            .fold(0.0, f64::max)
    };
    let least = |of: fn(&bench::cold_start::ColdStart) -> f64| {
        theirs
            .iter()
            .filter_map(|row| row.start.as_ref())
            .map(of)
            .fold(f64::INFINITY, f64::min)
    };
    format!(
        "Our slowest function is ready {:.0} times faster than the baseline's fastest, and takes {:.0} times less \
         processor time until then. Our largest takes {:.0} % of the memory of the baseline's smallest.\n",
        least(|start| start.ready.took.as_secs_f64()) / most(|start| start.ready.took.as_secs_f64()),
        least(|start| start.ready.processor.as_secs_f64())
            / most(|start| start.ready.processor.as_secs_f64()),
        100.0 * most(|start| start.peak_kib as f64) / least(|start| start.peak_kib as f64),
    )
}

fn curve<'a>(rows: impl Iterator<Item = &'a Row>) -> String {
    let sizes: Vec<_> = MEMORY_SIZES.iter().map(|size| format!("{size} MB")).collect();
    let mut text = format!(
        "| | {} |\n|---|{}\n",
        sizes.join(" | "),
        "---:|".repeat(MEMORY_SIZES.len())
    );
    for row in rows {
        let Some(start) = &row.start else { continue };
        let times = MEMORY_SIZES.map(|size| milliseconds(start.at_memory(size)));
        let _ = writeln!(text, "| {} | {} |", row.name, times.join(" | "));
    }
    text
}

fn batches(rows: &[Row]) -> String {
    let mut text =
        "| | batch of 1,000 | processor | at 512 MB | memory |\n|---|---:|---:|---:|---:|\n".to_owned();
    for row in rows {
        let Some(batch) = &row.full_batch else { continue };
        let _ = writeln!(
            text,
            "| {} | {} ms | {} ms | {} ms | {:.1} MiB |",
            row.name,
            milliseconds(batch.event.took),
            milliseconds(batch.event.processor),
            milliseconds(batch.event.at_memory(512)),
            batch.peak_kib as f64 / 1024.0,
        );
    }
    text
}

fn milliseconds(duration: Duration) -> String {
    let milliseconds = duration.as_secs_f64() * 1e3;
    let decimals = usize::from(milliseconds < 100.0);
    format!("{milliseconds:.decimals$}")
}
