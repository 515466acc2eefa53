//! Before and after: what has changed in a world, and the facts about the instances of the story.

use testbed::State;

use super::facts::{Facts, Key};
use crate::{style, terminal};

/// One row of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// What it is about.
    pub what: String,
    /// The value before.
    pub before: String,
    /// The value after.
    pub after: String,
}

/// The rows that tell the story of these instances: their own, and all that changed.
pub fn compare(before: &State, after: &State, instances: &[String]) -> Vec<Row> {
    let before = Facts::of(before, instances);
    let after = Facts::of(after, instances);
    let mut keys: Vec<&Key> = before.keys().chain(after.keys()).collect();
    keys.sort();
    keys.dedup();
    let told = keys.into_iter().filter(|key| {
        let (before, after) = (before.get(key), after.get(key));
        let concerned = before.is_some_and(|fact| fact.concerned);
        concerned || before.map(|fact| &fact.essence) != after.map(|fact| &fact.essence)
    });
    told.map(|key| Row {
        what: key.name.clone(),
        before: before.value(key),
        after: after.value(key),
    })
    .collect()
}

/// The table, without a trailing line break.
pub fn render(rows: &[Row]) -> String {
    render_in(terminal::columns(), rows)
}

fn render_in(columns: Option<usize>, rows: &[Row]) -> String {
    let width = |cell: fn(&Row) -> &str, title: &str| {
        let cells = rows.iter().map(|row| cell(row).chars().count());
        cells.chain([title.len()]).max().unwrap_or(0)
    };
    let what = width(|row| &row.what, "");
    let before = width(|row| &row.before, "before");
    let after = width(|row| &row.after, "after");
    if columns.is_some_and(|columns| what + 2 + before + 2 + after > columns) {
        return stacked(columns, rows);
    }
    let title = format!("{:what$}  {:before$}  after", "", "before");
    let mut lines = vec![style::dim(&title)];
    for row in rows {
        let changed = row.before != row.after;
        let after = if changed {
            style::strong(&row.after)
        } else {
            row.after.clone()
        };
        let before = style::dim(&format!("{:before$}", row.before));
        lines.push(format!("{:what$}  {before}  {after}", row.what));
    }
    lines.join("\n")
}

/// The rows, if three columns do not fit.
fn stacked(columns: Option<usize>, rows: &[Row]) -> String {
    let mut lines = vec![style::dim("before → after")];
    for row in rows {
        let change = if row.before == row.after {
            row.after.clone()
        } else {
            format!("{} → {}", style::dim(&row.before), style::strong(&row.after))
        };
        lines.push(row.what.clone());
        lines.push(terminal::hang_in(columns, "    ", &change));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const LOST: &str = "i-0123456789abcdef0";
    const NEW: &str = "i-0fedcba9876543210";
    const BYSTANDER: &str = "i-00000000000000000";

    fn state(members: &[&str], targets: Value, registered: Value) -> State {
        let instances = [LOST, NEW, BYSTANDER].map(|id| {
            json!({
                "id": id, "zone": "us-east-1a", "group": null, "state": "running", "private_ip": null
            })
        });
        let members = members
            .iter()
            .map(|id| json!({"id": id, "zone": "us-east-1a", "lifecycle": "InService", "health": "Healthy"}));
        serde_json::from_value(json!({
            "instances": instances,
            "groups": [{
                "name": "inference", "desired": 2, "min": 0, "max": 4,
                "instances": members.collect::<Vec<_>>()
            }],
            "target_groups": [{
                "arn": "arn", "name": "classifier", "target_type": "instance", "targets": targets
            }],
            "clusters": [{
                "arn": "arn", "name": "inference", "tasks": [], "container_instances": registered
            }],
            "queues": []
        }))
        .unwrap()
    }

    fn target(id: &str, state: &str) -> Value {
        json!({"id": id, "port": 80, "zone": null, "state": state})
    }

    fn registered(instance: &str, status: &str, running_tasks: u32) -> Value {
        json!({"arn": "arn", "instance": instance, "status": status, "running_tasks": running_tasks})
    }

    #[test]
    fn the_table_shows_what_changed_and_leaves_bystanders_out() {
        let before = state(
            &[LOST, BYSTANDER],
            json!([target(LOST, "healthy"), target(BYSTANDER, "initial")]),
            json!([registered(LOST, "ACTIVE", 2), registered(BYSTANDER, "ACTIVE", 1)]),
        );
        let after = state(
            &[NEW, BYSTANDER],
            json!([
                target(LOST, "draining"),
                target(BYSTANDER, "healthy"),
                target(NEW, "initial")
            ]),
            json!([
                registered(LOST, "DRAINING", 0),
                registered(BYSTANDER, "ACTIVE", 3)
            ]),
        );
        let rows = compare(&before, &after, &[LOST.to_owned()]);
        let table = anstream::adapter::strip_str(&render(&rows)).to_string();
        insta::assert_snapshot!(table);
    }

    #[test]
    fn a_narrow_table_has_two_lines_a_row() {
        let row = Row {
            what: format!("target {LOST}:32768 in classifier"),
            before: "healthy".to_owned(),
            after: "draining".to_owned(),
        };
        let table = render_in(Some(50), &[row]);
        let table = anstream::adapter::strip_str(&table).to_string();
        assert_eq!(
            table,
            format!("before → after\ntarget {LOST}:32768 in classifier\n    healthy → draining")
        );
    }

    #[test]
    fn harm_to_a_bystander_is_shown() {
        let targets = json!([]);
        let before = state(&[], targets.clone(), json!([registered(BYSTANDER, "ACTIVE", 1)]));
        let after = state(&[], targets, json!([registered(BYSTANDER, "DRAINING", 1)]));
        let rows = compare(&before, &after, &[LOST.to_owned()]);
        assert!(rows.iter().any(|row| row.what.contains(BYSTANDER)), "{rows:?}");
    }
}
