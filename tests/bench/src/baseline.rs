//! The Python baseline, `tests/bench/baseline`, in the same storm. EventBridge invokes a function for each event,
//! asynchronously. After a failure, Lambda tries again a minute later, and then two minutes later.
//! <https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html>

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use fast_aws::{FastAws, REGION};
use testbed::{Clock, FunctionSpec, Journal, Lambda, Outcome as Answer, Stack, Workspace};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::figures::{Figures, Work};
use crate::run::{Outcome, Setting, counts, storm, used_since, warning};
use crate::{fleet, processor};

/// The handlers, and what measures each of them. Auto Scaling deregisters the targets when it detaches the instance.
pub const FUNCTIONS: [(&str, Work); 2] = [("detach", Work::Replace), ("drain", Work::Drain)];

/// Under this name the table shows what became of the targets.
pub const BY_DETACHING: &str = "(by detaching)";

/// How long Lambda waits before each retry, after the failure.
const WAITS: [Duration; 3] = [Duration::ZERO, Duration::from_secs(60), Duration::from_secs(120)];

/// Runs one storm with the baseline.
///
/// # Errors
/// Where its Python environment cannot be made, or a function cannot be invoked at all.
pub async fn baseline(setting: &Setting) -> Result<Outcome> {
    let fleet = fleet::build(setting.size);
    let clock = Clock::real();
    let nothing_deployed = Stack {
        functions: vec![],
        queues: vec![],
        tables: vec![],
        event_source_mappings: vec![],
        rules: vec![],
    };
    let aws = FastAws::start(fleet.clone(), nothing_deployed, &setting.limits, clock).await?;
    let journal = Arc::new(Journal::new(clock));
    let specs = specifications(&aws, setting.processes).await?;
    // The installation is over by now.
    let before = processor::of_ended_children();
    let lambda = Arc::new(Lambda::new(specs, Arc::clone(&journal)));

    let mut invocations = JoinSet::new();
    let sent = storm(setting.size.instances, |id, n| {
        let (lambda, event) = (Arc::clone(&lambda), warning(id, n).to_string());
        invocations.spawn(async move {
            tokio::join!(
                invoke(&lambda, FUNCTIONS[0].0, &event),
                invoke(&lambda, FUNCTIONS[1].0, &event)
            )
        });
    })
    .await;
    let everything = async {
        let mut dropped = 0;
        while let Some(ended) = invocations.join_next().await {
            let (one, other) = ended.unwrap_or((false, false));
            dropped += usize::from(!one) + usize::from(!other);
        }
        dropped
    };
    let dropped = tokio::time::timeout(setting.patience, everything).await;
    let given_up = dropped.is_err();
    invocations.abort_all();

    let record = aws.record();
    let mut functions: Vec<(String, Figures)> = FUNCTIONS
        .iter()
        .map(|(name, work)| {
            (
                name.to_string(),
                Figures::read(&record, name, *work, &fleet, &sent),
            )
        })
        .collect();
    let targets = Figures::read(&record, "nobody", Work::Deregister, &fleet, &sent);
    functions.insert(0, (BY_DETACHING.to_owned(), targets));
    let invocations = counts(&journal);
    drop(lambda);
    Ok(Outcome {
        size: setting.size,
        functions,
        dead_letters: dropped.unwrap_or(0),
        invocations,
        given_up,
        processor: used_since(before).await,
    })
}

/// An asynchronous invocation, with its retries. Answers whether one of them succeeded.
async fn invoke(lambda: &Lambda, function: &str, event: &str) -> bool {
    for wait in WAITS {
        sleep(wait).await;
        if let Ok(Answer::Answer(_)) = lambda.invoke(function, event.to_owned()).await {
            return true;
        }
    }
    false
}

/// The interpreter for the handlers. Makes their Python environment if it does not exist yet.
///
/// # Errors
/// Where the environment cannot be made.
pub async fn specifications(aws: &FastAws, processes: usize) -> Result<Vec<FunctionSpec>> {
    let workspace = Workspace::locate()?;
    let folder = workspace.path("tests/bench/baseline");
    let python = tokio::task::spawn_blocking(move || {
        testbed::python_environment(&workspace, "baseline", "tests/bench/baseline/requirements.txt")
    });
    let python = python
        .await
        .context("making the Python environment was given up")??;
    let spec = |(name, _): &(&str, Work)| {
        let environment = [
            ("AWS_LAMBDA_FUNCTION_NAME", *name),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            ("AWS_REGION", REGION),
            ("AWS_DEFAULT_REGION", REGION),
            ("AWS_ENDPOINT_URL", aws.url()),
            ("AWS_ACCESS_KEY_ID", name),
            ("AWS_SECRET_ACCESS_KEY", "not-a-secret"),
            ("PYTHONDONTWRITEBYTECODE", "1"),
        ];
        let mut environment: BTreeMap<String, String> = environment
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect();
        environment.insert("PYTHONPATH".to_owned(), folder.display().to_string());
        environment.insert("LAMBDA_TASK_ROOT".to_owned(), folder.display().to_string());
        FunctionSpec {
            name: name.to_string(),
            program: python.clone(),
            arguments: ["-m", "awslambdaric", &format!("{name}.handler")]
                .map(str::to_owned)
                .to_vec(),
            environment,
            arn: format!("arn:aws:lambda:{REGION}:{}:function:{name}", fast_aws::ACCOUNT),
            // What the samples set; Lambda's own default is 3 s.
            timeout: Duration::from_secs(60),
            concurrency: processes,
        }
    };
    Ok(FUNCTIONS.iter().map(spec).collect())
}
