//! Reads the fields of an event, and says why one cannot be read.

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use thiserror::Error;

/// Why a message cannot be read.
#[derive(Debug, Error)]
pub enum NoticeError {
    /// The text is not JSON.
    #[error("the message is not JSON: {0}")]
    NotJson(String),
    /// A field is missing, has the wrong type or an impossible value.
    #[error("field `{field}`: {problem}")]
    Field {
        /// Path of the field in the event, for example `detail.instance-id`.
        field: String,
        /// What was expected and what was found.
        problem: String,
    },
}

impl NoticeError {
    /// A problem with a field. The problem text may be long, so it is cut.
    pub fn field(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Field {
            field: cut(field.into()),
            problem: cut(problem.into()),
        }
    }
}

/// The longest text of a message that goes into a log line.
const SHOWN: usize = 200;

/// The beginning of a text from outside.
pub(super) fn cut(text: String) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// serde would also accept an array with the right values in order.
pub(super) fn expect_object(field: &str, json: &str) -> Result<(), NoticeError> {
    match json.trim_start().starts_with('{') {
        true => Ok(()),
        false => Err(NoticeError::field(field, "expected an object")),
    }
}

/// Reads the detail of an event into the type that names the fields it needs.
pub(super) fn detail<T: DeserializeOwned>(detail: &RawValue) -> Result<T, NoticeError> {
    expect_object("detail", detail.get())?;
    let mut json = serde_json::Deserializer::from_str(detail.get());
    at_path("detail", serde_path_to_error::deserialize(&mut json))
}

pub(super) fn at_path<T, E: std::fmt::Display>(
    parent: &str,
    result: Result<T, serde_path_to_error::Error<E>>,
) -> Result<T, NoticeError> {
    result.map_err(|error| {
        let path = error.path().to_string();
        let problem = error.inner().to_string();
        // The path says where the problem is. A position inside a part of the message would not help.
        let problem = problem.split(" at line ").next().unwrap_or_default();
        // serde puts the name of a missing or repeated field into the message, not into the path.
        let named = |words: &str| {
            problem
                .strip_prefix(words)
                .and_then(|rest| rest.split('`').next())
        };
        let (missing, repeated) = (named("missing field `"), named("duplicate field `"));
        let path = if path == "." { "" } else { path.as_str() };
        let steps = [parent, path, missing.or(repeated).unwrap_or("")];
        let field: Vec<_> = steps.into_iter().filter(|step| !step.is_empty()).collect();
        let field = if field.is_empty() {
            "the event".to_owned()
        } else {
            field.join(".")
        };
        NoticeError::field(
            field,
            match (missing, repeated) {
                (Some(_), _) => "missing",
                (None, Some(_)) => "appears twice",
                (None, None) => problem,
            },
        )
    })
}
