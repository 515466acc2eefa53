//! One line on standard error for every step that takes long enough to be wondered about.

/// Says what is being done now.
pub(crate) fn step(what: &str) {
    eprintln!("  {what}");
}
