//! For a ticket or a page.

use super::{Diagnosis, about};
use crate::commands::doctor::rules;

pub fn say(diagnosis: &Diagnosis<'_>) -> String {
    let mut text = format!(
        "# Interruptions in {}\n\n{}. Looked at {}.\n",
        diagnosis.region,
        diagnosis.summary(),
        diagnosis.looked_at()
    );
    if !diagnosis.findings.is_empty() {
        text += "\n| severity | resource | what | why | fix |\n|---|---|---|---|---|\n";
    }
    for finding in diagnosis.findings {
        text += &format!(
            "| {} | {} `{}` | {} ([{}]({})) | {} | `{}` |\n",
            finding.severity,
            finding.resource.kind,
            finding.resource.name,
            cell(&finding.what),
            finding.rule.id,
            finding.rule.page,
            cell(finding.why),
            cell(&finding.fix),
        );
    }
    for note in diagnosis.notes() {
        text += &format!("\nNote: {note}.\n");
    }
    for (unread, times) in diagnosis.unread() {
        text += &format!("\n**Not read:** {}\n", cell(&about(unread, times)));
    }
    text
}

/// The table of all rules, as it stands in docs/doctor.md.
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
