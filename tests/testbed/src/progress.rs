//! One line on standard error for every step that takes so long that people wonder.

/// Says what is being done now.
pub(crate) fn step(what: &str) {
    eprintln!("  {what}");
}
