//! The output of a replay: text for people, or JSON lines for programs.

use serde_json::json;
use spot_handoff::report::Report;

use super::{Format, Zero};
use crate::timeline::Line;
use crate::{style, terminal};

pub struct Output {
    pub(super) format: Format,
}

impl Output {
    pub fn new(format: Format) -> Self {
        Self { format }
    }

    pub fn line(&self, line: &Line, zero: Zero) {
        self.text(&line.render(zero));
    }

    /// Prints a report for programs. People get its lines.
    pub fn report(&self, report: &Report) {
        if self.format == Format::Json
            && let Ok(report) = serde_json::to_string(report)
        {
            anstream::println!("{report}");
        }
    }

    /// Prints a function that failed as a whole, so that it has no report.
    pub fn failure(&self, line: &Line, zero: Zero) {
        match self.format {
            Format::Text => self.line(line, zero),
            Format::Json => anstream::println!("{}", json!({"function": line.who, "error": line.text})),
        }
    }

    /// For people. If standard output is for programs, it goes to standard error.
    pub fn note(&self, text: &str) {
        let text = style::dim(&terminal::hang("", text));
        match self.format {
            Format::Text => anstream::println!("{text}"),
            Format::Json => anstream::eprintln!("{text}"),
        }
    }

    /// For people only.
    pub fn text(&self, text: &str) {
        if self.format == Format::Text {
            anstream::println!("{text}");
        }
    }
}
