//! For a terminal: by resource, the worst first; what, why, fix.

use super::{Diagnosis, about};
use crate::commands::doctor::rules::{Finding, Severity};
use crate::style;

pub fn say(diagnosis: &Diagnosis<'_>) -> String {
    let mut text = style::dim(&format!("{}: {}\n", diagnosis.region, diagnosis.looked_at()));
    for of_resource in by_resource(diagnosis.findings) {
        let resource = &of_resource[0].resource;
        text += &format!("\n{} {}\n", resource.kind, style::strong(&resource.name));
        for finding in of_resource {
            text += &format!(
                "  {}  {}  {}\n",
                severity(finding.severity),
                finding.what,
                style::dim(finding.rule.id)
            );
            text += &format!("            why  {}\n", finding.why);
            text += &format!("            fix  {}\n", style::pending(&finding.fix));
        }
    }
    let notes = diagnosis.notes();
    if !notes.is_empty() {
        text.push('\n');
    }
    for note in notes {
        text += &style::dim(&format!("note  {note}\n"));
    }
    for (unread, times) in diagnosis.unread() {
        text += &format!("\n{}  {}\n", style::bad("not read"), about(unread, times));
    }
    text + &verdict(diagnosis)
}

fn verdict(diagnosis: &Diagnosis<'_>) -> String {
    let incomplete = !diagnosis.facts.unread.is_empty();
    if diagnosis.facts.groups.is_empty() && !incomplete {
        return format!(
            "\n{} no Auto Scaling group here: is it the right account and region?\n",
            style::warning("?")
        );
    }
    match (diagnosis.findings.is_empty(), incomplete) {
        (true, false) => format!(
            "\n{} nothing would lose work in an interruption\n",
            style::good("✓")
        ),
        (true, true) => format!(
            "\n{} nothing found, but not everything could be read\n",
            style::warning("?")
        ),
        (false, _) => {
            let more = if incomplete {
                ", and not everything could be read"
            } else {
                ""
            };
            format!("\n{}{more}\n", style::strong(&diagnosis.summary()))
        }
    }
}

/// Resources with their findings, in the order of their worst.
fn by_resource(findings: &[Finding]) -> Vec<Vec<&Finding>> {
    let mut resources: Vec<Vec<&Finding>> = vec![];
    for finding in findings {
        match resources
            .iter_mut()
            .find(|known| known[0].resource == finding.resource)
        {
            Some(known) => known.push(finding),
            None => resources.push(vec![finding]),
        }
    }
    resources
}

fn severity(severity: Severity) -> String {
    let text = format!("{severity:<8}");
    match severity {
        Severity::Critical => style::bad(&text),
        Severity::Warning => style::warning(&text),
        Severity::Info => style::dim(&text),
    }
}
