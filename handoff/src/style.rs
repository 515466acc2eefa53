//! Colours. The printing code strips them if the output is not a terminal.

use owo_colors::OwoColorize;

/// What needs no attention.
pub fn dim(text: &str) -> String {
    text.dimmed().to_string()
}

/// What the eye should find first.
pub fn strong(text: &str) -> String {
    text.bold().to_string()
}

/// What went well.
pub fn good(text: &str) -> String {
    text.green().to_string()
}

/// What went wrong.
pub fn bad(text: &str) -> String {
    text.red().bold().to_string()
}

/// What may go wrong.
pub fn warning(text: &str) -> String {
    text.yellow().to_string()
}

/// What is still to come, or would be.
pub fn pending(text: &str) -> String {
    text.blue().to_string()
}

/// A function's name. Each has its own colour, so that its lines are easy to find.
pub fn function(name: &str, text: &str) -> String {
    match name {
        "deregister-targets" => text.cyan().to_string(),
        "drain-tasks" => text.magenta().to_string(),
        _ => text.bright_blue().to_string(),
    }
}
