//! `docs/kept-work.md`: what each contender lost in each scenario, with a picture of each.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use bench::kept_work::contender::Contender;
use bench::kept_work::outcome::Outcome;
use bench::kept_work::picture;
use bench::kept_work::scenario::Scenario;
use bench::kept_work::table::{self, COLUMNS, Cell, Row};
use bench::machine;

const HOW: &str = "\
Every contender meets the same interruptions in the same worlds: the embedded AWS of `tests/embedded-aws` at its real pace.
Its numbers and their sources are in [`pace.json`](../tests/embedded-aws/pace.json). A seed draws the numbers: how long an
instance boots, how late EventBridge is. Some questions about AWS nobody can answer. The first three seeds play them both
ways: whether the replacement of a detached instance launches before or after its targets have drained, whether ECS registers
a task's target again, whether EC2 takes the instance on time, early or late.

The bench does not send requests. It computes them: between two changes of the world, each target that gets requests has its
share. How long requests take decides how many are under way when a target is cut off. So half a request can fail. The
functions of this project are the real ones, with the rules and queues of `template.yaml`. While they work, the world runs
twice as fast as real time. While nobody works, it leaps ahead. A busy machine makes the functions slower than Lambda would.

| who acts | |
|---|---|
| nobody | Auto Scaling and ECS notice a loss after it has happened |
| ecs-draining | the ECS agent sees the notice and sets its instance to DRAINING: `ECS_ENABLE_SPOT_INSTANCE_DRAINING` |
| capacity-rebalancing | every group has Capacity Rebalancing, and the agents drain |
| python-sample | the handlers of [`tests/bench/baseline`](../tests/bench/baseline), modelled on the public samples: detach the instance, drain its container instance; each takes a second. The agents do not drain |
| **spot-handoff** | the functions of this project with the parameters' defaults. The agents do not drain |
| lower-bound | nobody you can have: the least loss with a hand-off that acts in the second of the first signal and knows every number of the world. Each column is the least on its own |

| column | |
|---|---|
| failed requests | failed requests of all clients, and then by cause: there was no target; the target no longer answered, or not yet; the request was under way when the target was cut off |
| dark s | seconds in which a target group had no target that served, added up over the target groups |
| tasks cut | tasks whose instance went before they had ended |
| job s lost | seconds of work that jobs have to do again |
| task s short | seconds for which a task was missing: below the desired count of its service, or of a job that is to run again |
| paid twice s | seconds for which somebody paid for more instances than the group's owner asked for |
| told wrongly | hand-offs whose announcement was wrong: done, although work was lost or the group was short at the end; failed or with losses, although nothing was lost; or no announcement at all. If AWS showed no healthy target for a while and requests were answered all the same, an announced loss is right |

A cell is the mean of the seeds. The worst seed is in brackets if it differs.
";

/// Writes the page and its pictures.
pub fn write(docs: &Path, scenarios: &[Scenario], outcomes: &[Outcome], seeds: u64) -> Result<()> {
    let pictures = docs.join("kept-work");
    fs::create_dir_all(&pictures).with_context(|| format!("cannot create {}", pictures.display()))?;
    let mut text = format!(
        "# The work that is kept\n\n{}, `cargo bench --bench kept-work -- --write`, seeds 1 to {seeds}\n\n{HOW}",
        machine::described()
    );
    let of = |scenario: &Scenario| -> Vec<&Outcome> {
        let of = outcomes
            .iter()
            .filter(|outcome| outcome.scenario == scenario.name);
        of.collect()
    };
    let _ = write!(text, "\n## At a glance\n\n{}", at_a_glance(scenarios, &of));
    for scenario in scenarios {
        let of = of(scenario);
        let _ = write!(
            text,
            "\n## {}\n\n{}\n\n{}",
            scenario.title,
            scenario.story,
            rows(&of)
        );
        let _ = write!(text, "{}", worse(&of));
        if let Some(svg) = picture::svg(&scenario.title, &of) {
            let file = format!("{}.svg", scenario.name);
            fs::write(pictures.join(&file), svg).with_context(|| format!("cannot write {file}"))?;
            let _ = write!(
                text,
                "\n![{}: targets, tasks and instances over time](kept-work/{file})\n",
                scenario.title
            );
        }
    }
    let path = docs.join("kept-work.md");
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    eprintln!("wrote {}", path.display());
    Ok(())
}

/// Failed requests of each contender in each scenario, and seconds without a target.
fn at_a_glance<'a>(scenarios: &[Scenario], of: &dyn Fn(&Scenario) -> Vec<&'a Outcome>) -> String {
    let mut text = "Failed requests, and seconds without a target that served:\n\n| |".to_owned();
    for contender in Contender::ALL {
        let _ = write!(text, " {contender} |");
    }
    text.push_str("\n|---|");
    text.push_str(&"---|".repeat(Contender::ALL.len()));
    text.push('\n');
    for scenario in scenarios {
        let rows = table::rows(&of(scenario));
        let _ = write!(text, "| [{}](#{}) |", scenario.title, anchor(&scenario.title));
        for contender in Contender::ALL {
            let cells = rows
                .iter()
                .find(|(who, _)| *who == contender)
                .map(|(_, cells)| cells);
            let told = cells.map_or_else(String::new, |cells| {
                let mean = |column: usize| cells[column].map_or(0.0, |cell| cell.mean);
                format!("{}, {} s", table::short(mean(0)), table::short(mean(DARK)))
            });
            let _ = write!(text, " {told} |");
        }
        text.push('\n');
    }
    text
}

/// Where the seconds without a target are among the columns.
const DARK: usize = 4;

/// How GitHub names a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter_map(|letter| match letter {
        ' ' => Some('-'),
        letter if letter.is_alphanumeric() || letter == '-' => Some(letter.to_ascii_lowercase()),
        _ => None,
    });
    kept.collect()
}

fn rows(outcomes: &[&Outcome]) -> String {
    let mut text = "| |".to_owned();
    for (name, _) in COLUMNS {
        let _ = write!(text, " {name} |");
    }
    text.push_str("\n|---|");
    text.push_str(&"---:|".repeat(COLUMNS.len()));
    text.push('\n');
    for (contender, cells) in table::rows(outcomes) {
        let bold = if contender == Contender::SpotHandoff {
            "**"
        } else {
            ""
        };
        let _ = write!(text, "| {bold}{contender}{bold} |");
        for cell in cells {
            let _ = write!(text, " {} |", table::cell(cell));
        }
        text.push('\n');
    }
    text
}

/// Where this project is worse than another contender. The page says so, and does not leave it to the reader to find.
fn worse(outcomes: &[&Outcome]) -> String {
    let rows = table::rows(outcomes);
    let Some((_, ours)) = rows.iter().find(|(who, _)| *who == Contender::SpotHandoff) else {
        return String::new();
    };
    let others: Vec<&Row> = rows
        .iter()
        .filter(|(who, _)| !matches!(who, Contender::SpotHandoff | Contender::LowerBound))
        .collect();
    let mut told = vec![];
    for (column, (name, _)) in COLUMNS.iter().enumerate() {
        let Some(own) = ours[column] else { continue };
        let better: Vec<&str> = others
            .iter()
            .filter(|(_, cells)| cells[column].is_some_and(|other| is_less(other, own)))
            .map(|(who, _)| who.name())
            .collect();
        if !better.is_empty() {
            told.push(format!("{name} ({})", better.join(", ")));
        }
    }
    if told.is_empty() {
        return String::new();
    }
    format!("\nspot-handoff is worse than others in: {}.\n", told.join("; "))
}

/// By more than what is not shown.
fn is_less(one: Cell, other: Cell) -> bool {
    one.mean < other.mean * 0.99 - 0.05
}
