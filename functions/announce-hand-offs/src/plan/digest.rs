//! One message about many hand-offs: a count of the results for each group, then each bad hand-off in full, then the
//! others in a line each.

use std::collections::BTreeMap;
use std::fmt::Write;

use spot_handoff::state::announcements::Pending;

use super::Outcome;
use super::text::for_mail;

/// SNS takes 256 KB, but nobody reads that much.
/// <https://docs.aws.amazon.com/sns/latest/api/API_Publish.html>
const LONGEST: usize = 60_000;
const RULE: &str = "\n----------------------------------------------------------------\n\n";

/// A message for people about one or many hand-offs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digest {
    /// One line; mail programs show it as the subject.
    pub subject: String,
    /// The rest of the message.
    pub text: String,
    /// The outcome of all, or of the bad ones if there are any. Subscribers may filter by it.
    pub outcome: String,
    /// Whether all were drills.
    pub drill: bool,
}

/// The message about these hand-offs. For a single hand-off it is its own message.
pub fn digest(pending: &[Pending]) -> Digest {
    let (bad, good): (Vec<&Pending>, Vec<&Pending>) = pending.iter().partition(|one| one.is_bad);
    let worst = bad.first().or(good.first());
    let outcome = worst.map(|one| one.outcome.clone()).unwrap_or_default();
    let drill = pending.iter().all(|one| one.drill);
    if let [one] = pending {
        return Digest {
            subject: one.subject.clone(),
            text: one.text.clone(),
            outcome,
            drill,
        };
    }
    let of = if drill { "Drill: " } else { "" };
    let subject = match bad.len() {
        0 => format!("{of}{} hand-offs: {}", pending.len(), groups(pending)),
        number => format!(
            "{of}{}: {number} of {} hand-offs: {}",
            worst_of(&bad),
            pending.len(),
            groups(pending)
        ),
    };
    let mut text = String::new();
    for (group, ones) in by_group(pending) {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for one in ones {
            *counts.entry(&one.outcome).or_default() += 1;
        }
        let counts: Vec<_> = counts
            .iter()
            .map(|(outcome, count)| format!("{count} {outcome}"))
            .collect();
        let _ = writeln!(text, "{group}: {}", counts.join(", "));
    }
    let mut untold = 0;
    for one in &bad {
        if text.len() + one.text.len() > LONGEST {
            untold += 1;
        } else {
            let _ = write!(text, "{RULE}{}\n\n{}", one.subject, one.text);
        }
    }
    if !good.is_empty() {
        text.push_str(RULE);
    }
    for one in &good {
        if text.len() + one.subject.len() > LONGEST {
            untold += 1;
        } else {
            let _ = writeln!(text, "{}", one.subject);
        }
    }
    if untold > 0 {
        let _ = writeln!(
            text,
            "\nand {untold} more: `cargo handoff timeline` shows all of them"
        );
    }
    Digest {
        subject: for_mail(&subject),
        text,
        outcome,
        drill,
    }
}

/// The worst of the bad outcomes, as in the subject.
fn worst_of(bad: &[&Pending]) -> &'static str {
    let any = |outcome: Outcome| bad.iter().any(|one| one.outcome == outcome.name());
    if any(Outcome::Failed) {
        "FAILED"
    } else if any(Outcome::StillShort) {
        "STILL SHORT"
    } else {
        "WITH LOSSES"
    }
}

fn by_group(pending: &[Pending]) -> BTreeMap<&str, Vec<&Pending>> {
    let mut groups: BTreeMap<&str, Vec<&Pending>> = BTreeMap::new();
    for one in pending {
        let group = one.group.as_deref().unwrap_or("in no group");
        groups.entry(group).or_default().push(one);
    }
    groups
}

/// The groups with the most hand-offs first.
fn groups(pending: &[Pending]) -> String {
    let mut groups: Vec<_> = by_group(pending)
        .into_iter()
        .map(|(group, ones)| (ones.len(), group))
        .collect();
    groups.sort_by_key(|(count, group)| (std::cmp::Reverse(*count), *group));
    let groups: Vec<_> = groups
        .iter()
        .map(|(count, group)| format!("{count} {group}"))
        .collect();
    groups.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pending(number: usize, group: &str, outcome: &str) -> Pending {
        Pending {
            event_id: format!("event-{number}"),
            instance: format!("i-{number:017}"),
            group: Some(group.to_owned()),
            subject: format!("{outcome}: i-{number:017} in {group}"),
            text: format!("all about {number}\n"),
            outcome: outcome.to_owned(),
            is_bad: outcome == "failed",
            drill: number == 0,
            runs_on: false,
            since: "2026-11-24T04:02:30Z".parse().expect("a time"),
        }
    }

    #[test]
    fn one_hand_off_is_told_as_it_is() {
        let one = pending(0, "web", "handed-off");
        let told = digest(std::slice::from_ref(&one));
        assert_eq!((told.subject, told.text), (one.subject, one.text));
        assert!(told.drill);
    }

    #[test]
    fn many_are_told_by_group_with_the_bad_ones_first_and_whole() {
        let all = [
            pending(0, "web", "handed-off"),
            pending(1, "web", "failed"),
            pending(2, "batch", "handed-off"),
        ];
        let told = digest(&all);
        assert_eq!(told.subject, "FAILED: 1 of 3 hand-offs: 2 web, 1 batch");
        assert_eq!(told.outcome, "failed");
        assert!(!told.drill);
        let expected = format!(
            "batch: 1 handed-off\nweb: 1 failed, 1 handed-off\n{RULE}{}\n\n{}{RULE}{}\n{}\n",
            all[1].subject, all[1].text, all[0].subject, all[2].subject
        );
        assert_eq!(told.text, expected);
    }

    #[test]
    fn the_worst_outcome_is_the_first_word() {
        let of = |outcomes: [&str; 2]| {
            let pending = outcomes.map(|outcome| Pending {
                is_bad: outcome != "handed-off",
                ..pending(1, "web", outcome)
            });
            digest(&pending).subject
        };
        for (outcomes, expected) in [
            (
                ["handed-off", "handed-off-with-losses"],
                "WITH LOSSES: 1 of 2 hand-offs: 2 web",
            ),
            (
                ["handed-off-with-losses", "still-short"],
                "STILL SHORT: 2 of 2 hand-offs: 2 web",
            ),
            (["still-short", "failed"], "FAILED: 2 of 2 hand-offs: 2 web"),
        ] {
            assert_eq!(of(outcomes), expected);
        }
    }

    #[test]
    fn drills_that_failed_are_told_as_drills() {
        let drills = [0, 0].map(|number| pending(number, "web", "failed"));
        assert_eq!(digest(&drills).subject, "Drill: FAILED: 2 of 2 hand-offs: 2 web");
    }

    #[test]
    fn a_storm_of_thousands_fits_into_a_message() {
        let all: Vec<Pending> = (0..5_000)
            .map(|number| pending(number, "web", "failed"))
            .collect();
        let told = digest(&all);
        assert!(told.text.len() < 100_000, "{}", told.text.len());
        assert!(
            told.text.contains(" more: `cargo handoff timeline`"),
            "{}",
            told.text
        );
        assert!(told.subject.len() <= 100, "{}", told.subject);
    }
}
