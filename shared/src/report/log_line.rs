//! The lines that a function writes to its log.

use serde_json::Value;

use super::Report;

/// A line of a function's log.
#[derive(Debug, Clone, PartialEq)]
pub enum LogLine {
    /// A report on an instance.
    Report(Box<Report>),
    /// Another line of JSON: a record of `tracing`, or a metric.
    Record(Value),
    /// A line that is not JSON: a panic, or a message of Lambda itself.
    Text(String),
}

impl LogLine {
    /// Reads a line.
    pub fn read(line: &str) -> Self {
        match Report::from_line(line) {
            Some(report) => Self::Report(Box::new(report)),
            None => serde_json::from_str(line).map_or_else(|_| Self::Text(line.to_owned()), Self::Record),
        }
    }
}

/// The message of a record. Loggers put it in different places.
pub fn message(record: &Value) -> String {
    let message = record["message"]
        .as_str()
        .or_else(|| record["fields"]["message"].as_str());
    message.map_or_else(|| record.to_string(), str::to_owned)
}
