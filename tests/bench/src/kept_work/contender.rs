//! Who acts on the signals.

use std::fmt;

/// Who acts on the signals of a scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Contender {
    /// Nobody: Auto Scaling and ECS find out by themselves.
    Nobody,
    /// The ECS agent sets its instance to DRAINING: `ECS_ENABLE_SPOT_INSTANCE_DRAINING`.
    EcsDraining,
    /// Every group has Capacity Rebalancing, and the agents drain.
    CapacityRebalancing,
    /// The handlers of `tests/bench/baseline`.
    PythonSample,
    /// The functions of this project.
    SpotHandoff,
    /// Nobody you can have: the least loss with a hand-off that knows the world's numbers beforehand.
    LowerBound,
}

impl Contender {
    /// All of them, in the order of the tables.
    pub const ALL: [Self; 6] = [
        Self::Nobody,
        Self::EcsDraining,
        Self::CapacityRebalancing,
        Self::PythonSample,
        Self::SpotHandoff,
        Self::LowerBound,
    ];

    /// Its name on the command line, and for the embedded AWS.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nobody => "nobody",
            Self::EcsDraining => "ecs-draining",
            Self::CapacityRebalancing => "capacity-rebalancing",
            Self::PythonSample => "python-sample",
            Self::SpotHandoff => "spot-handoff",
            Self::LowerBound => "lower-bound",
        }
    }

    /// The one of this name.
    ///
    /// # Errors
    /// Where there is none; the error names them all.
    pub fn parse(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|contender| contender.name() == name);
        found.ok_or_else(|| format!("there are {}", Self::ALL.map(Self::name).join(", ")))
    }
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
