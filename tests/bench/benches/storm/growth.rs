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

/// What is varied, what bounds it, and the fleet with this many of it.
type Varied = (&'static str, &'static str, fn(usize) -> Size);

/// Varies clusters, target groups and tasks. The storms have already varied the instances.
pub async fn measure(arguments: &Arguments, storms: &[Outcome]) -> Result<Vec<Curve>> {
    let mut curves = vec![Curve {
        what: "instances",
        bound: "AWS's request rates. For a thousand, they are those of DeregisterTargets and DetachInstances. Beyond, it is the rate \
                of reading tasks and container instances in ECS, which takes a few calls for each hundred instances. A \
                storm goes to two or three invocations of each function, and each of them reads the groups, clusters and \
                target groups.",
        points: storms
            .iter()
            .map(|storm| (storm.size.instances, storm.clone()))
            .collect(),
    }];
    let varied: [Varied; 3] = [
        (
            "clusters",
            "Nothing says which cluster an instance is in, so the functions ask each cluster, one call each. If there are more \
             than 25, they first find the empty ones, a hundred in a call. The parameter Clusters bounds this.",
            |clusters| Size {
                instances: INSTANCES,
                clusters,
                ..Size::default()
            },
        ),
        (
            "target groups",
            "The functions only look at target groups of the instances' own groups and services, so the curve ends where \
             each instance has its own.",
            |target_groups| Size {
                instances: INSTANCES,
                target_groups,
                ..Size::default()
            },
        ),
        (
            "tasks per instance",
            "One call describes a hundred tasks.",
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

    /// Seconds until all functions were done with the last instance, if they were.
    pub fn seconds(&self) -> impl Iterator<Item = (usize, f64)> + '_ {
        self.points
            .iter()
            .filter_map(|(step, outcome)| Some((*step, until_all_done(outcome)?)))
    }
}

/// Seconds until everything was done for every instance; `None` if it was not.
pub fn until_all_done(outcome: &Outcome) -> Option<f64> {
    let all = outcome.functions.iter().map(|(_, figures)| {
        let last = figures.seconds.last().copied();
        last.filter(|_| figures.unfinished == 0)
    });
    all.collect::<Option<Vec<f64>>>()?.into_iter().reduce(f64::max)
}
