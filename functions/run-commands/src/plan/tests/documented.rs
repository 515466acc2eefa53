//! What docs/how-it-decides.md says about this function.

use testbed::documentation;

use super::*;

/// Actions and reasons of a plan, as two table cells.
fn cells(plan: &Plan) -> String {
    documentation::cells(plan, documentation::name, ", ")
}

fn of_scripts() -> String {
    let at_once = || Wanted {
        when: StopWhen::Now,
        ..script()
    };
    let no_target = || Wanted {
        target_groups: BTreeSet::new(),
        ..script()
    };
    let warned = "interruption warning";
    let sent = Stage::Sent {
        command: "c".to_owned(),
    };
    let waits = || hook("spot-handoff-drain");
    let rows = [
        (warned, "a target", 1, warning(), script(), facts(true)),
        (
            warned,
            "its targets are out",
            20,
            warning(),
            script(),
            facts(false),
        ),
        (warned, "a target", 50, warning(), script(), facts(true)),
        (
            warned,
            "in no target group",
            1,
            warning(),
            no_target(),
            facts(false),
        ),
        (
            warned,
            "in no target group",
            50,
            warning(),
            no_target(),
            facts(false),
        ),
        (
            warned,
            "a target, `stop-when` is `now`",
            1,
            warning(),
            at_once(),
            facts(true),
        ),
        (
            warned,
            "its script was sent before",
            20,
            warning(),
            script(),
            with_item(sent, after(5)),
        ),
        (
            warned,
            "its script is being sent",
            20,
            warning(),
            script(),
            with_item(Stage::Claimed, after(15)),
        ),
        (
            warned,
            "claimed long ago, no command is found",
            40,
            warning(),
            script(),
            with_item(Stage::Claimed, after(15)),
        ),
        (warned, "gone", 121, warning(), script(), facts(false)),
        (
            "terminate hook",
            "its targets are out",
            1,
            waits(),
            script(),
            facts(false),
        ),
    ];
    let mut table = "| signal | the instance | seconds after it | actions | left alone, because |\n|---|---|---|---|---|\n".to_owned();
    for (signal, what, seconds, notice, wanted, facts) in rows {
        let plan = plan(&notice, &wanted, &facts, after(seconds));
        table += &format!("| {signal} | {what} | {seconds} | {} |\n", cells(&plan));
    }
    table
}

#[test]
fn the_documented_decisions_are_those_of_the_plan() {
    documentation::part("docs/how-it-decides.md", "stop scripts", &of_scripts()).expect("up to date");
}
