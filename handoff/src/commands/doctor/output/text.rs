//! Output for a terminal: first the number of findings, then by rule, the worst first: why, what, fix.

use super::{Diagnosis, OfRule, about, names};
use crate::commands::doctor::rules::Severity;
use crate::{style, terminal};

pub fn say(diagnosis: &Diagnosis<'_>) -> String {
    let looked_at = format!("{}: {}", diagnosis.region, diagnosis.looked_at());
    let mut text = format!("{}\n", style::dim(&terminal::hang("", &looked_at)));
    text += &verdict(diagnosis);
    for of_rule in diagnosis.by_rule() {
        text += &said_of(&of_rule);
    }
    let notes = diagnosis.notes();
    if !notes.is_empty() {
        text.push('\n');
    }
    for note in notes {
        text += &style::dim(&format!("{}\n", terminal::hang("note  ", &note)));
    }
    for (unread, times) in diagnosis.unread() {
        let prefix = style::bad("not read  ");
        text += &format!("\n{}\n", terminal::hang(&prefix, &about(unread, times)));
    }
    text
}

fn said_of(of_rule: &OfRule<'_>) -> String {
    let first = of_rule.first();
    let title = format!("{}  {}", style::strong(first.rule.id), first.rule.title);
    let severity = format!("{}  ", severity(first.severity));
    let mut text = format!(
        "\n{}\n{}\n",
        terminal::hang(&severity, &title),
        terminal::hang("  why  ", first.why)
    );
    let common = of_rule.common_fix();
    for alike in &of_rule.alike {
        text += &terminal::hang(
            "  ",
            &format!("{}: {}", style::strong(&names(alike)), alike[0].what),
        );
        text.push('\n');
        if common.is_none() {
            text += &format!("{}\n", fix("    fix  ", &alike[0].fix));
        }
    }
    if let Some(common) = common {
        text += &format!("{}\n", fix("  fix  ", common));
    }
    text
}

/// A command must stay as it is, so that people can paste it; the lines do not matter.
fn fix(prefix: &str, fix: &str) -> String {
    let is_command = ["aws ", "for ", "sam "]
        .iter()
        .any(|program| fix.starts_with(program));
    let text = if is_command {
        terminal::hang_command(prefix, fix)
    } else {
        terminal::hang(prefix, fix)
    };
    let (prefix, rest) = text.split_at(prefix.len());
    format!("{prefix}{}", style::pending(rest))
}

fn verdict(diagnosis: &Diagnosis<'_>) -> String {
    let incomplete = !diagnosis.facts.unread.is_empty();
    if diagnosis.facts.groups.is_empty() && !incomplete {
        return format!(
            "{} no Auto Scaling group here: is it the right account and region?\n",
            style::warning("?")
        );
    }
    match (diagnosis.findings.is_empty(), incomplete) {
        (true, false) => format!(
            "{} nothing would lose work in an interruption\n",
            style::good("✓")
        ),
        (true, true) => format!(
            "{} nothing found, but not everything could be read\n",
            style::warning("?")
        ),
        (false, _) => {
            let more = if incomplete {
                ", and not everything could be read"
            } else {
                ""
            };
            format!("{}{more}\n", style::strong(&diagnosis.summary()))
        }
    }
}

fn severity(severity: Severity) -> String {
    let text = format!("{severity:<8}");
    match severity {
        Severity::Critical => style::bad(&text),
        Severity::Warning => style::warning(&text),
        Severity::Info => style::dim(&text),
    }
}
