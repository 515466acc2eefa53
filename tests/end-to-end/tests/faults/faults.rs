//! Everything that can go wrong with a call.

use std::time::Duration;

use serde_json::{Value, json};
use testbed::ModelledError;

/// A wait longer than the functions' patience with one try, in real time.
const HANG: Duration = Duration::from_secs(5);
/// A wait within it.
const SLOW: Duration = Duration::from_millis(400);

/// One way for a call to go wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The service's own throttling error.
    Throttled,
    /// An internal error of the service.
    InternalError,
    /// An answer from something in between, which no SDK can parse.
    Unavailable,
    /// The connection is reset before the call is carried out.
    Reset,
    /// No answer within the functions' patience.
    Hang,
    /// A late answer.
    Slow,
    /// Half an answer.
    Truncated,
    /// The role lacks the permission.
    AccessDenied,
    /// Carried out, and the connection is reset before the answer.
    AnswerLost,
    /// An error that the action's API model names.
    Modelled(String, u16),
}

/// Whether a code says that the role lacks the permission. There is already a fault for that.
pub fn is_denial(code: &str) -> bool {
    code.starts_with("AccessDenied") || code == "AuthorizationError"
}

impl Fault {
    /// Those that any call can suffer.
    pub const OF_ANY_CALL: [Self; 9] = [
        Self::Throttled,
        Self::InternalError,
        Self::Unavailable,
        Self::Reset,
        Self::Hang,
        Self::Slow,
        Self::Truncated,
        Self::AccessDenied,
        Self::AnswerLost,
    ];

    /// All faults of an action with these modelled errors.
    pub fn all(modelled: &[ModelledError]) -> Vec<Self> {
        let modelled = modelled.iter().filter(|error| !is_denial(&error.code));
        let modelled = modelled.map(|error| Self::Modelled(error.code.clone(), error.status));
        Self::OF_ANY_CALL.into_iter().chain(modelled).collect()
    }

    /// What the embedded AWS is told.
    pub fn order(&self, speed: f64) -> Value {
        let milliseconds = |real: Duration| (real.as_secs_f64() * 1000.0 * speed) as u64;
        match self {
            Self::Throttled => json!({ "kind": "throttle" }),
            Self::InternalError => json!({ "kind": "error", "code": "InternalFailure", "status": 500 }),
            Self::Unavailable => json!({ "kind": "http", "status": 503 }),
            Self::Reset => json!({ "kind": "reset" }),
            Self::Hang => json!({ "kind": "hang", "ms": milliseconds(HANG) }),
            Self::Slow => json!({ "kind": "slow", "ms": milliseconds(SLOW) }),
            Self::Truncated => json!({ "kind": "truncate" }),
            Self::AccessDenied => json!({ "kind": "denied" }),
            Self::AnswerLost => json!({ "kind": "lost-answer" }),
            Self::Modelled(code, status) => json!({ "kind": "error", "code": code, "status": status }),
        }
    }

    /// The words that a report has to have about it.
    pub fn words(&self) -> &[&str] {
        match self {
            Self::Throttled => &["Throttling", "Throttled"],
            Self::InternalError => &["InternalFailure"],
            Self::AccessDenied => &["in the function's role"],
            Self::Unavailable | Self::Reset | Self::Truncated | Self::AnswerLost | Self::Hang => {
                &["got no answer", "did not succeed in the time"]
            }
            Self::Slow => &[],
            Self::Modelled(..) => &[],
        }
    }
}
