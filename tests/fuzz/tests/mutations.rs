//! The same properties without a fuzzer: the sample events, and mutations of them.

// Clippy knows the tests of a file, but not the functions that they share.
#![allow(clippy::expect_used)]

use proptest::prelude::*;
use serde_json::Value;

/// Samples in one line each, so that several make a batch.
fn seeds() -> Vec<String> {
    let samples = [
        include_str!("../../../events/spot-interruption-warning.json"),
        include_str!("../../../events/rebalance-recommendation.json"),
        include_str!("../../../events/launch-unsuccessful.json"),
        include_str!("../../../events/terminate-lifecycle-action.json"),
        include_str!("../../../events/instance-state-change.json"),
        include_str!("../../../events/scheduled-retirement.json"),
        include_str!("../../../events/scheduled-reboot.json"),
        include_str!("../../../events/capacity-reservation-interruption-warning.json"),
        include_str!("../../../events/capacity-block-expiration-warning.json"),
        include_str!("../../../events/instance-running.json"),
        include_str!("../../../events/left-warm-pool.json"),
        include_str!("../seeds/follow-up-restart.json"),
        include_str!("../seeds/follow-up-stop-tasks.json"),
        include_str!("../seeds/follow-up-await-tasks.json"),
        include_str!("../seeds/follow-up-looks.json"),
        include_str!("../../../events/malformed.json"),
        include_str!("../../../events/unknown.json"),
        include_str!("../../../events/sqs-batch-mixed.json"),
    ];
    let one_line = |text: &str| serde_json::from_str::<Value>(text).map(|value| value.to_string());
    samples
        .map(|text| one_line(text).expect("a sample is JSON"))
        .to_vec()
}

#[derive(Debug, Clone)]
enum Edit {
    /// Put a piece in the place of some characters.
    Put(&'static str, usize),
    /// Say some characters again.
    Repeat(usize),
    /// Cut the rest off.
    Cut,
}

fn any_edit() -> impl Strategy<Value = Edit> {
    let pieces = [
        "null",
        "{}",
        "[]",
        "\"",
        ",",
        ":",
        "\\",
        "\\ud800",
        "7",
        "-1e999",
        "true",
        "\u{0}",
        "é",
        "[[[[",
        "i-0",
        "\n",
        "\"detail\":",
        "\"instance-id\":\"i-00000000000000000\",",
        "\"id\":\"2\",",
        "spot-handoff.drill",
        "9999-12-31",
    ];
    prop_oneof![
        8 => (proptest::sample::select(pieces.to_vec()), 0..40usize).prop_map(|(piece, over)| Edit::Put(piece, over)),
        2 => (1..60usize).prop_map(Edit::Repeat),
        1 => Just(Edit::Cut),
    ]
}

fn edited(text: &str, at: prop::sample::Index, edit: &Edit) -> String {
    let mut characters: Vec<char> = text.chars().collect();
    let at = at.index(characters.len() + 1);
    let until = |length: usize| (at + length).min(characters.len());
    match edit {
        Edit::Put(piece, over) => drop(characters.splice(at..until(*over), piece.chars())),
        Edit::Repeat(length) => {
            let again = characters[at..until(*length)].to_vec();
            drop(characters.splice(at..at, again));
        }
        Edit::Cut => characters.truncate(at),
    }
    characters.into_iter().collect()
}

fn any_message() -> impl Strategy<Value = String> {
    let edits = proptest::collection::vec((any::<prop::sample::Index>(), any_edit()), 0..4);
    (proptest::sample::select(seeds()), edits).prop_map(|(seed, edits)| {
        edits
            .iter()
            .fold(seed, |text, (at, edit)| edited(&text, *at, edit))
    })
}

#[test]
fn the_samples_hold() {
    seeds().iter().for_each(|seed| fuzz::message(seed));
    fuzz::batch(&seeds().join("\n"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_message_is_a_notice_it_names_or_an_error_that_names_the_field(text in any_message()) {
        fuzz::message(&text);
    }

    #[test]
    fn no_message_makes_a_difference_to_its_neighbours(texts in proptest::collection::vec(any_message(), 0..4)) {
        fuzz::batch(&texts.join("\n"));
    }
}
