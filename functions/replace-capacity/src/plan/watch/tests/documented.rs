//! What docs/how-it-decides.md says about the watch over a group.

use testbed::documentation;

use super::*;

type Row = (&'static str, &'static str, i64, Turn);

const NO_SPOT: &str = "Could not launch Spot Instances. UnfulfillableCapacity - x";

/// A turn of the messages of one look, with the launches of the group.
fn looked(group: &Group, known: Option<&GroupWatch>, launches: &Launches, seconds: i64) -> Turn {
    let message = message(1, 0, known.map_or(0, |watch| watch.look));
    let asked = Asked::of(&message).expect("it is about a group").1;
    next("g", &[asked], &seen(group, known, launches, seconds))
}

/// A turn that reads something else.
fn reading<'a>(change: impl FnOnce(&mut Seen<'a>), group: &'a Group, launches: &'a Launches) -> Turn {
    let message = message(1, 0, 0);
    let asked = Asked::of(&message).expect("it is about a group").1;
    let mut seen = seen(group, None, launches, 20);
    change(&mut seen);
    next("g", &[asked], &seen)
}

fn looks() -> Vec<Row> {
    let (whole, short, none) = (group(&[2, 3, 4]), group(&[2, 3]), Launches::default());
    let dry = Launches::with([(at(30), Some(NO_SPOT))]);
    let error = CallError::Refused {
        action: "DescribeAutoScalingGroups",
        code: "Throttling".to_owned(),
        message: "Rate exceeded".to_owned(),
    };
    let no_table = refused();
    let mut suspended = group(&[2, 3]);
    suspended.suspended.insert("Launch".to_owned());
    let mut unhealthy = group(&[2, 3, 4]);
    unhealthy.unhealthy.insert(id(4));
    let first = watched(looked(&short, None, &none, 20));
    let at_look =
        |group: &Group, launches: &Launches, seconds| looked(group, Some(&first), launches, seconds);
    let over = watched(at_look(&whole, &none, 40));
    let look = "look";
    let end = "look, half an hour is over";
    vec![
        (
            look,
            "as many in service as asked for",
            20,
            looked(&whole, None, &none, 20),
        ),
        (look, "one too few", 20, looked(&short, None, &none, 20)),
        (
            look,
            "one of them unhealthy",
            20,
            looked(&unhealthy, None, &none, 20),
        ),
        (
            look,
            "one of them interrupted, until AWS has left it for a minute",
            20,
            looked(&group(&[1, 2, 3]), None, &none, 20),
        ),
        (look, "one too few, T+60 s", 60, at_look(&short, &none, 60)),
        (look, "one too few, T+10 min", 600, at_look(&short, &none, 600)),
        (end, "Spot launches fail", 1800, at_look(&short, &dry, 1800)),
        (
            end,
            "process Launch suspended",
            1800,
            at_look(&suspended, &none, 1800),
        ),
        (end, "no launch has failed", 1800, at_look(&short, &none, 1800)),
        (
            look,
            "deleted",
            20,
            reading(|seen| seen.group = Ok(None), &short, &none),
        ),
        (
            look,
            "cannot be read",
            20,
            reading(|seen| seen.group = Err(&error), &short, &none),
        ),
        (
            look,
            "one too few, the table does not answer",
            20,
            reading(|seen| seen.known = Err(&no_table), &short, &none),
        ),
        (
            "another interruption",
            "watched, one too few",
            30,
            turn(&[message(2, 10, 0)], &short, Some(&first), 30),
        ),
        (
            "another interruption",
            "its watch is over, one too few",
            120,
            turn(&[message(2, 100, 0)], &short, Some(&over), 120),
        ),
        (
            "a message that came before",
            "watched",
            25,
            turn(&[message(1, 0, 0)], &short, Some(&first), 25),
        ),
    ]
}

fn fallbacks() -> Vec<Row> {
    let spot = |serving: &[u8], base| Group {
        distribution: Some(Distribution {
            base,
            percent_above: 0,
        }),
        ..group(serving)
    };
    let dry = Launches::with([(at(25), Some(NO_SPOT))]);
    let launched = Launches::with([(at(25), Some(NO_SPOT)), (at(90), None)]);
    let returned = Launches::with([(at(25), Some(NO_SPOT)), (at(90), None), (at(400), None)]);
    let short = spot(&[2, 3], 0);
    let filled = spot(&[2, 3, 4], 1);
    let waiting = looked(&short, None, &dry, 60);
    let raised = looked(&short, waiting.item.as_ref(), &dry, 85);
    let whole = looked(&filled, raised.item.as_ref(), &launched, 105);
    let trial = looked(&filled, whole.item.as_ref(), &launched, 985);
    let failed = Launches::with([(at(90), None), (at(990), Some(NO_SPOT))]);
    let succeeded = Launches::with([(at(990), None)]);
    let back = looked(&spot(&[2, 3, 5], 0), trial.item.as_ref(), &succeeded, 1005);
    let again = looked(&spot(&[2, 3, 4], 0), trial.item.as_ref(), &failed, 1005);
    let spot_is_back = looked(&filled, whole.item.as_ref(), &returned, 405);
    let overruled = looked(&spot(&[2, 3, 4], 2), whole.item.as_ref(), &launched, 405);
    let forbidden = {
        let message = message(1, 0, 0);
        let asked = Asked::of(&message).expect("it is about a group").1;
        let off = Seen {
            fallback: (SpotFallback::Off, FallbackBounds::new(25, SignedDuration::ZERO)),
            ..seen(&short, None, &dry, 85)
        };
        next("g", &[asked], &off)
    };
    vec![
        ("Spot launches fail for 35 s", "one too few", 60, waiting),
        ("Spot launches fail for 60 s", "one too few", 85, raised),
        ("the same, `SpotFallback=off`", "one too few", 85, forbidden),
        (
            "the same",
            "one too few, no mixed instances policy",
            85,
            looked(&group(&[2, 3]), None, &dry, 85),
        ),
        (
            "an On-Demand instance has come",
            "as many as asked for",
            105,
            whole,
        ),
        (
            "Spot has launched as well",
            "as many as asked for",
            405,
            spot_is_back,
        ),
        ("15 minutes after the raise", "as many as asked for", 985, trial),
        ("Spot has launched since", "as many as asked for", 1005, back),
        ("Spot has failed since", "as many as asked for", 1005, again),
        (
            "somebody else has set the base",
            "as many as asked for",
            405,
            overruled,
        ),
    ]
}

/// What is done, and what is reported.
fn cells(turn: &Turn, seconds: i64) -> String {
    let mut actions = Vec::new();
    if let Some(SetBase { from, to }) = turn.set {
        let raise = if to > from { "raise" } else { "lower" };
        actions.push(format!("`{raise}-on-demand-base` from {from} to {to}"));
    }
    if let Some((_, when)) = next_look(turn) {
        actions.push(format!("`watch-group` look again in {} s", when - seconds));
    }
    let told = turn.told.as_ref().and_then(|told| line("g", told));
    let told_of_mixture = turn
        .told_of_mixture
        .as_ref()
        .and_then(|told| line_of_mixture("g", told));
    let lines = told.iter().chain(&told_of_mixture).map(ToString::to_string);
    let said: Vec<String> = lines
        .chain(turn.warnings.iter().map(ToString::to_string))
        .collect();
    format!("{} | {}", actions.join("; "), said.join("; "))
}

fn table(rows: &[Row]) -> String {
    let mut table = "| signal or step | the group | actions | said |\n|---|---|---|---|\n".to_owned();
    for (signal, state, seconds, turn) in rows {
        assert_eq!(turn.problem, None, "{signal}, {state}");
        table += &format!("| {signal} | {state} | {} |\n", cells(turn, *seconds));
    }
    table
}

#[test]
fn the_documented_watch_is_that_of_the_plan() {
    for (part, rows) in [("group watch", looks()), ("on-demand fallback", fallbacks())] {
        documentation::part("docs/how-it-decides.md", part, &table(&rows)).expect("up to date");
    }
}
