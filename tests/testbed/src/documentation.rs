//! Parts of the documentation that are generated from the code, so that they cannot fall behind it.

use std::fmt::Display;
use std::fs::{self, OpenOptions};

use anyhow::{Context, Result, ensure};
use spot_handoff::report::plan::{Action, Plan};

use crate::workspace::Workspace;

/// Checks that the part of a page between `<!-- NAME -->` and `<!-- end of NAME -->` reads as expected.
///
/// With the environment variable `UPDATE` set, it writes the part anew instead. Tests may do so side by side, even
/// tests of different programs: it locks the page meanwhile.
///
/// # Errors
/// If the page has no such part, or the part reads differently.
pub fn part(page: &str, name: &str, expected: &str) -> Result<()> {
    let path = Workspace::locate()?.path(page);
    let updates = std::env::var_os("UPDATE").is_some();
    let file = OpenOptions::new().read(true).write(updates).open(&path);
    let file = file.with_context(|| format!("cannot open {}", path.display()))?;
    if updates {
        file.lock()
            .with_context(|| format!("cannot lock {}", path.display()))?;
    }
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let begin = format!("<!-- {name} -->\n");
    let end = format!("<!-- end of {name} -->");
    let (before, rest) = text
        .split_once(&begin)
        .with_context(|| format!("{page} lacks {begin}"))?;
    let (found, after) = rest
        .split_once(&end)
        .with_context(|| format!("{page} lacks {end}"))?;
    if found == expected {
        return Ok(());
    }
    ensure!(
        updates,
        "{page}: the part `{name}` has fallen behind the code; run the same test with UPDATE=1, look at the difference, \
         commit it\nexpected:\n{expected}\nfound:\n{found}"
    );
    let updated = format!("{before}{begin}{expected}{end}{after}");
    fs::write(&path, updated).with_context(|| format!("cannot write {}", path.display()))
}

/// A plan as two cells of a table. One has the actions, in the words of `cell`, separated by `between`. The other has
/// the reasons why something is left alone.
pub fn cells<A, S: Display, W>(plan: &Plan<A, S, W>, cell: impl Fn(&A) -> String, between: &str) -> String {
    let actions: Vec<String> = plan.actions.iter().map(cell).collect();
    let reasons: Vec<String> = plan
        .skipped
        .iter()
        .map(|skipped| skipped.reason.to_string())
        .collect();
    format!("{} | {}", actions.join(between), reasons.join("; "))
}

/// The name of an action, as reports have it.
pub fn name<A: Action>(action: &A) -> String {
    format!("`{}`", action.describe().0)
}
