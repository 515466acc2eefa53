//! Reads as much as possible: what cannot be read is recorded, and the rest is still read.

use std::future::Future;
use std::sync::Mutex;
use std::time::Duration;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use spot_handoff::runtime::aws::{self, CallError};
use tokio::time::Instant;

use crate::refusal::{self, SIGN_IN};
use crate::usage::UsageError;

/// Long enough for the ten tries of a throttled call, see `account`.
const PATIENCE: Duration = Duration::from_secs(300);

/// Something that could not be read, so that nothing is known about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// What it is, for example a group's name; empty if the call was about everything.
    pub of: String,
    /// The action, for example `DescribeLifecycleHooks`.
    pub action: &'static str,
    /// AWS's answer, or what happened instead.
    pub error: String,
    /// The kind of error.
    pub cause: Cause,
}

/// Why something could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// A permission is missing.
    Permission,
    /// AWS does not accept the credentials, so every other call will fail, too.
    Credentials,
    /// Something else.
    Other,
}

/// Makes the calls of one run.
pub struct Reader {
    stop_at: Instant,
    unread: Mutex<Vec<Unread>>,
}

impl Reader {
    /// A reader that has all its time left.
    pub fn new() -> Self {
        Self {
            stop_at: Instant::now() + PATIENCE,
            unread: Mutex::default(),
        }
    }

    /// Makes one call, retries and paging included; `None` if it failed. The error is recorded.
    pub async fn call<T, E>(
        &self,
        of: &str,
        action: &'static str,
        sending: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    ) -> Option<T>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        match aws::call(|| self.stop_at, action, sending).await {
            Ok(answer) => Some(answer),
            Err(error) => {
                if let Ok(mut unread) = self.unread.lock() {
                    unread.push(Unread::new(of, action, &error));
                }
                None
            }
        }
    }

    /// Says what to do if AWS does not accept the credentials.
    ///
    /// # Errors
    /// If AWS has refused a call because of the credentials.
    pub fn check_credentials(&self) -> Result<(), UsageError> {
        let Ok(unread) = self.unread.lock() else {
            return Ok(());
        };
        match unread.iter().find(|one| one.cause == Cause::Credentials) {
            Some(unread) => Err(UsageError::new(format!(
                "AWS refused {}: {}: {SIGN_IN}",
                unread.action, unread.error
            ))),
            None => Ok(()),
        }
    }

    /// What could not be read so far.
    pub fn unread(self) -> Vec<Unread> {
        self.unread.into_inner().unwrap_or_default()
    }
}

impl Unread {
    fn new(of: &str, action: &'static str, error: &CallError) -> Self {
        let text = match error {
            CallError::Refused { code, message, .. } => format!("{code}: {message}"),
            CallError::NoAnswer { message, .. } => message.clone(),
            CallError::OutOfTime { .. } => format!("no answer within {} s", PATIENCE.as_secs()),
        };
        let cause = match error {
            CallError::Refused { code, .. } if refusal::is_of_credentials(code) => Cause::Credentials,
            _ if error.is_denied() => Cause::Permission,
            _ => Cause::Other,
        };
        Self {
            of: of.to_owned(),
            action,
            error: text,
            cause,
        }
    }
}
