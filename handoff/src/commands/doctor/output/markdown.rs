//! For a ticket or a page.

use super::{Diagnosis, about, names};
use crate::commands::doctor::rules;

pub fn say(diagnosis: &Diagnosis<'_>) -> String {
    let mut text = format!(
        "# Interruptions in {}\n\n{}. Looked at {}.\n",
        diagnosis.region,
        diagnosis.summary(),
        diagnosis.looked_at()
    );
    for of_rule in diagnosis.by_rule() {
        let first = of_rule.first();
        text += &format!(
            "\n## {}: {}\n\n[{}]({}). Why: {}.\n\n| resource | what | fix |\n|---|---|---|\n",
            first.severity, first.rule.title, first.rule.id, first.rule.page, first.why
        );
        for alike in &of_rule.alike {
            let (what, fix) = (cell(&alike[0].what), cell(&alike[0].fix));
            text += &format!("| {} | {what} | `{fix}` |\n", cell(&names(alike)));
        }
    }
    for note in diagnosis.notes() {
        text += &format!("\nNote: {note}.\n");
    }
    for (unread, times) in diagnosis.unread() {
        text += &format!("\n**Not read:** {}\n", cell(&about(unread, times)));
    }
    text
}

/// The table of all rules, as in docs/doctor.md.
pub fn rules() -> String {
    let mut text =
        "| rule | severity | finds | why | fix | AWS's page |\n|---|---|---|---|---|---|\n".to_owned();
    for rule in rules::all() {
        text += &format!(
            "| `{}` | {} | {} | {} | {} | [page]({}) |\n",
            rule.id, rule.severity, rule.title, rule.why, rule.fix, rule.page
        );
    }
    text
}

/// A vertical bar or a line break would end the cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
