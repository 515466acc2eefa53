//! How calls and time grow, with one thing varied at a time.

use anyhow::Result;
use bench::fleet::Size;
use bench::run::{self, Outcome};

use crate::Arguments;

/// One thing varied.
pub struct Curve {
    /// What.
    pub what: &'static str,
    /// What bounds it.
    pub bound: &'static str,
    /// How much of it, and what came of that.
    pub points: Vec<(usize, Outcome)>,
}

const STEPS: [usize; 4] = [1, 10, 100, 1_000];
/// Instances while something else is varied.
const INSTANCES: usize = 10;

/// What is varied, what bounds it, and the fleet with so much of it.
type Varied = (&'static str, &'static str, fn(usize) -> Size);

/// Varies clusters, target groups and tasks; the instances have been varied already.
pub async fn measure(arguments: &Arguments, storms: &[Outcome]) -> Result<Vec<Curve>> {
    let mut curves = vec![Curve {
        what: "instances",
        bound: "AWS's request rates: for a thousand, those of DeregisterTargets and DetachInstances; beyond, that of reading \
                tasks and container instances in ECS, of which it takes a few for each hundred instances. A storm goes into \
                two or three invocations of each function, so the groups, clusters and target groups are asked for so often.",
        points: storms
            .iter()
            .map(|storm| (storm.size.instances, storm.clone()))
            .collect(),
    }];
    let varied: [Varied; 3] = [
        (
            "clusters",
            "Nothing says which cluster an instance is in, so clusters are asked for it, one call each. Of more than 25 the \
             empty ones are found out first, a hundred a call. The parameter Clusters bounds it.",
            |clusters| Size {
                instances: INSTANCES,
                clusters,
                ..Size::default()
            },
        ),
        (
            "target groups",
            "Only target groups of the instances' own groups and services are looked at, so the curve ends where each \
             instance has its own.",
            |target_groups| Size {
                instances: INSTANCES,
                target_groups,
                ..Size::default()
            },
        ),
        (
            "tasks per instance",
            "Tasks are described a hundred at a time.",
            |tasks| Size {
                instances: INSTANCES,
                tasks,
                ..Size::default()
            },
        ),
    ];
    for (what, bound, size) in varied {
        let mut points = vec![];
        for step in STEPS {
            eprintln!("{step} {what}");
            let outcome = run::ours(&arguments.setting(size(step))?).await?;
            points.push((step, crate::shown(outcome)));
        }
        curves.push(Curve { what, bound, points });
    }
    Ok(curves)
}

impl Curve {
    /// Calls of all functions at each point.
    pub fn calls(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let calls = |outcome: &Outcome| outcome.functions.iter().map(|(_, figures)| figures.calls).sum();
        self.points
            .iter()
            .map(move |(step, outcome)| (*step, calls(outcome)))
    }

    /// Seconds until all functions were done with the last instance, where they were.
    pub fn seconds(&self) -> impl Iterator<Item = (usize, f64)> + '_ {
        self.points
            .iter()
            .filter_map(|(step, outcome)| Some((*step, until_all_done(outcome)?)))
    }
}

/// Seconds until everything of every instance was done; `None` where it was not.
pub fn until_all_done(outcome: &Outcome) -> Option<f64> {
    let all = outcome.functions.iter().map(|(_, figures)| {
        let last = figures.seconds.last().copied();
        last.filter(|_| figures.unfinished == 0)
    });
    all.collect::<Option<Vec<f64>>>()?.into_iter().reduce(f64::max)
}
