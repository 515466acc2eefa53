//! The output of a replay on this machine, except its lines.

use serde_json::json;
use testbed::Clock;

use super::comparison::{self, Row};
use super::{Output, Zero};
use crate::commands::replay::Format;
use crate::timeline::since;
use crate::verdict::Verdict;
use crate::words::count;
use crate::{style, terminal};

impl Output {
    pub fn header(&self, header: &str) {
        self.text(&format!("\n{header}\n"));
    }

    /// Prints which repetition this is.
    pub fn time(&self, time: u32) {
        self.text(&style::strong(&format!("time {time}")));
    }

    /// Prints the rules that matched the event.
    pub fn matched(&self, rules: &[String]) {
        let text = if rules.is_empty() {
            "no rule of the template matches this event, so no function is called".to_owned()
        } else {
            let rules: Vec<&str> = rules.iter().map(|rule| logical_id(rule)).collect();
            format!("matched by the rule {}", rules.join(" and the rule "))
        };
        self.text(&style::dim(&terminal::hang("", &text)));
    }

    /// Prints that the silence is intended.
    pub fn waiting(&self, delayed: u64, clock: Clock, zero: Zero) {
        let at = since(zero, clock.now());
        let messages = count(delayed, "delayed message");
        let hint = if clock.is_fast() {
            ""
        } else {
            " (--speed 20 makes it short, --watch 0 does without)"
        };
        let text = terminal::hang(&format!("{at}  "), &format!("waiting for {messages}{hint}"));
        self.text(&style::dim(&text));
    }

    pub fn end(&self, rows: &[Row], verdict: &Verdict) {
        match self.format {
            Format::Text => {
                if rows.iter().any(|row| row.before != row.after) {
                    anstream::println!("\n{}", comparison::render(rows));
                } else {
                    anstream::println!("\nbefore and after are the same");
                }
                anstream::println!("\n{}", verdict.render());
            }
            Format::Json => anstream::println!(
                "{}",
                json!({
                    "good": verdict.is_good(),
                    "problems": verdict.problems(),
                    "changes": rows.iter().map(|row| json!({
                        "what": row.what, "before": row.before, "after": row.after,
                    })).collect::<Vec<_>>(),
                })
            ),
        }
    }
}

/// CloudFormation names a rule STACK-LOGICALID-RANDOM.
fn logical_id(name: &str) -> &str {
    name.rsplit('-').nth(1).unwrap_or(name)
}
