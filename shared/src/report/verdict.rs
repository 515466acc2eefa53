//! How a hand-off went. Announcements, timelines, replays and drills all use this verdict.

use super::kept::Loss;

/// How a hand-off went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Everything is done, and no loss was seen.
    HandedOff,
    /// It is done, but something was lost, or may have been.
    WithLosses,
    /// It is done, but the group has too few instances.
    StillShort,
    /// Something failed, could not be done, came too late, or was not reported.
    Failed,
    /// It was called off, and the instance serves on.
    CalledOff,
    /// A dry run.
    Planned,
    /// There was nothing to do.
    NothingToDo,
}

/// The findings behind a verdict.
#[derive(Debug, Clone, Copy, Default)]
pub struct Findings<'a> {
    /// Whether something failed, could not be done, came too late, was not finished or not reported.
    pub failed: bool,
    /// Whether no function had anything to do.
    pub nothing_to_do: bool,
    /// Whether it was a dry run.
    pub planned: bool,
    /// What was lost.
    pub losses: &'a [Loss],
    /// Whether the group has too few instances.
    pub short: bool,
    /// Whether it was called off.
    pub called_off: bool,
}

impl Verdict {
    /// The verdict. The worst finding decides.
    pub fn of(found: Findings<'_>) -> Self {
        if found.failed {
            Self::Failed
        } else if found.nothing_to_do {
            Self::NothingToDo
        } else if found.planned {
            Self::Planned
        } else if found.called_off {
            Self::CalledOff
        } else if found.short {
            Self::StillShort
        } else if !found.losses.is_empty() {
            Self::WithLosses
        } else {
            Self::HandedOff
        }
    }

    /// Whether somebody has to look at it.
    pub fn is_bad(self) -> bool {
        matches!(self, Self::Failed | Self::WithLosses | Self::StillShort)
    }

    /// Its name in events and message attributes.
    pub fn name(self) -> &'static str {
        match self {
            Self::HandedOff => "handed-off",
            Self::WithLosses => "handed-off-with-losses",
            Self::StillShort => "still-short",
            Self::Failed => "failed",
            Self::CalledOff => "called-off",
            Self::Planned => "planned",
            Self::NothingToDo => "nothing-to-do",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_that_was_found_decides() {
        let losses = [Loss::Cut(1)];
        let none = Findings::default();
        let table = [
            (none, Verdict::HandedOff),
            (
                Findings {
                    called_off: true,
                    ..none
                },
                Verdict::CalledOff,
            ),
            (
                Findings {
                    losses: &losses,
                    ..none
                },
                Verdict::WithLosses,
            ),
            (
                Findings {
                    losses: &losses,
                    short: true,
                    ..none
                },
                Verdict::StillShort,
            ),
            (
                Findings {
                    losses: &losses,
                    failed: true,
                    short: true,
                    ..none
                },
                Verdict::Failed,
            ),
            (
                Findings {
                    planned: true,
                    losses: &losses,
                    ..none
                },
                Verdict::Planned,
            ),
            (
                Findings {
                    nothing_to_do: true,
                    ..none
                },
                Verdict::NothingToDo,
            ),
            (
                Findings {
                    nothing_to_do: true,
                    failed: true,
                    ..none
                },
                Verdict::Failed,
            ),
        ];
        for (found, expected) in table {
            assert_eq!(Verdict::of(found), expected, "{found:?}");
            assert_eq!(
                expected.is_bad(),
                found.failed
                    || (!found.planned
                        && !found.nothing_to_do
                        && !found.called_off
                        && (found.short || !found.losses.is_empty()))
            );
        }
    }
}
