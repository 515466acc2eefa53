//! An execution environment: one process of a function, with its Runtime API.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use jiff::Timestamp;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::{Notify, oneshot};
use tokio::time::timeout;

use crate::journal::Journal;
use crate::outcome::Outcome;
use crate::runtime_api::{Invocation, RuntimeApi, Stage};

/// How long Lambda lets a function initialise before it gives up on the process.
const INIT_LIMIT: Duration = Duration::from_secs(10);
/// How long we wait for a runtime to ask for more work after an answer.
const BETWEEN_INVOCATIONS: Duration = Duration::from_millis(500);

/// Everything needed to run a function.
#[derive(Debug, Clone)]
pub struct FunctionSpec {
    /// Its name, for the journal.
    pub name: String,
    /// The program.
    pub program: PathBuf,
    /// The program's arguments.
    pub arguments: Vec<String>,
    /// The whole environment of the process, except for the address of the Runtime API.
    pub environment: BTreeMap<String, String>,
    /// The ARN it is told it was invoked by.
    pub arn: String,
    /// How long an invocation may take.
    pub timeout: Duration,
    /// How many invocations may run at a time.
    pub concurrency: usize,
}

impl FunctionSpec {
    /// The same with more variables, or other values of them.
    pub(crate) fn with(&self, variables: BTreeMap<String, String>) -> Self {
        let mut with = self.clone();
        with.environment.extend(variables);
        with
    }
}

/// One process of a function. Dropping it kills the process.
pub struct Environment {
    api: RuntimeApi,
    process: Child,
    timeout: Duration,
    function_arn: String,
}

impl Environment {
    /// Starts the process and waits until it asks for work.
    ///
    /// # Errors
    /// Where the process cannot be started, ends, says that it cannot start, or does not ask in time.
    pub async fn start(function: &FunctionSpec, journal: &Arc<Journal>) -> Result<Self, Outcome> {
        let mut environment = Self::spawn(function, journal)
            .await
            .map_err(|error| Outcome::NotStarted(format!("{error:#}")))?;
        environment.initialise().await?;
        Ok(environment)
    }

    async fn spawn(function: &FunctionSpec, journal: &Arc<Journal>) -> Result<Self> {
        let api = RuntimeApi::serve().await?;
        let mut process = Command::new(&function.program)
            .args(&function.arguments)
            .env_clear()
            .envs(&function.environment)
            .env("AWS_LAMBDA_RUNTIME_API", &api.address)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", function.program.display()))?;
        if let Some(output) = process.stdout.take() {
            follow(output, &function.name, journal);
        }
        if let Some(output) = process.stderr.take() {
            follow(output, &function.name, journal);
        }
        Ok(Self {
            api,
            process,
            timeout: function.timeout,
            function_arn: function.arn.clone(),
        })
    }

    async fn initialise(&mut self) -> Result<(), Outcome> {
        let mut stage = self.api.stage.clone();
        let past_start = stage.wait_for(|stage| *stage != Stage::Starting);
        tokio::select! {
            reached = timeout(INIT_LIMIT, past_start) => match reached {
                Ok(Ok(stage)) => match &*stage {
                    Stage::Refused(why) => Err(Outcome::NotStarted(why.clone())),
                    _ => Ok(()),
                },
                Ok(Err(_)) => Err(Outcome::NotStarted("its Runtime API stopped".to_owned())),
                Err(_) => Err(Outcome::NotStarted(format!(
                    "it did not ask for work within {} s", INIT_LIMIT.as_secs()
                ))),
            },
            ended = self.process.wait() => Err(Outcome::NotStarted(describe_end(ended))),
        }
    }

    /// The process id, for reading what the system knows about it; `None` once it has ended.
    pub fn process_id(&self) -> Option<u32> {
        self.process.id()
    }

    /// Runs one invocation. After a failure other than an error, the process is useless.
    pub async fn invoke(&mut self, request_id: &str, payload: String) -> Outcome {
        self.invoke_unless_killed(request_id, payload, &Notify::new())
            .await
    }

    /// The same; the process is killed when it is notified.
    pub(crate) async fn invoke_unless_killed(
        &mut self,
        request_id: &str,
        payload: String,
        killing: &Notify,
    ) -> Outcome {
        let (answer, mut answered) = oneshot::channel();
        let deadline = Timestamp::now().saturating_add(self.timeout);
        let invocation = Invocation {
            request_id: request_id.to_owned(),
            function_arn: self.function_arn.clone(),
            deadline_ms: deadline.unwrap_or(Timestamp::MAX).as_millisecond(),
            payload,
            answer,
        };
        if self.api.work.send(invocation).await.is_err() {
            return Outcome::Crashed("its Runtime API stopped".to_owned());
        }
        let outcome = tokio::select! {
            // An answer counts even if the process ended right after it: look at it first.
            biased;
            outcome = &mut answered => {
                outcome.unwrap_or_else(|_| Outcome::Crashed("its Runtime API stopped".to_owned()))
            }
            ended = self.process.wait() => Outcome::Crashed(describe_end(ended)),
            () = killing.notified() => Outcome::Crashed("killed".to_owned()),
            () = tokio::time::sleep(self.timeout) => Outcome::TimedOut(self.timeout),
        };
        if self.is_reusable(&outcome) {
            self.until_waiting().await;
        } else {
            // Dropping also kills, but then the process could still act for a moment.
            let _ = self.process.kill().await;
        }
        outcome
    }

    /// Whether the process can take another invocation.
    pub(crate) fn is_reusable(&self, outcome: &Outcome) -> bool {
        matches!(outcome, Outcome::Answer(_) | Outcome::Error(_))
    }

    /// As in Lambda, an environment is busy until its runtime asks for more. By then everything that the invocation
    /// wrote to its log has arrived here, too.
    async fn until_waiting(&mut self) {
        let waiting = self.api.stage.wait_for(|stage| matches!(stage, Stage::Waiting));
        let _ = timeout(BETWEEN_INVOCATIONS, waiting).await;
    }
}

fn follow(output: impl AsyncRead + Unpin + Send + 'static, function: &str, journal: &Arc<Journal>) {
    let (function, journal) = (function.to_owned(), Arc::clone(journal));
    tokio::spawn(async move {
        let mut lines = BufReader::new(output).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            if !line.trim().is_empty() {
                journal.add_line(&function, &line);
            }
        }
    });
}

fn describe_end(ended: std::io::Result<std::process::ExitStatus>) -> String {
    match ended {
        Ok(status) => status.to_string(),
        Err(error) => error.to_string(),
    }
}
