//! The whole of it: a world, the functions running in it, and their queues being served.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use aws_credential_types::Credentials;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::{BehaviorVersion, Region, StalledStreamProtectionConfig};
use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::Value;
use spot_handoff::report::Report;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::clock::Clock;
use crate::environment::FunctionSpec;
use crate::event_source::EventSource;
use crate::functions::{self, FUNCTIONS};
use crate::journal::Journal;
use crate::lambda::Lambda;
use crate::outcome::Outcome;
use crate::stack::{Function, Queue, Stack};
use crate::workspace::Workspace;
use crate::world::{World, WorldOptions};

/// How often a bed is asked whether it is idle.
const LOOK_AGAIN: Duration = Duration::from_millis(40);

/// What a bed starts with.
#[derive(Debug, Clone)]
pub struct Options {
    /// Parameters of the template that differ from their defaults.
    pub parameters: BTreeMap<String, String>,
    /// How many seconds of the world pass in a real one.
    pub speed: f64,
    /// Whether AWS does by itself what it would: tasks start, instances boot, targets drain.
    pub simulate: bool,
    /// How many invocations of a function may run at a time.
    pub concurrency: usize,
    /// How many pollers a queue has. None leaves the messages in the queues.
    pub pollers: usize,
    /// A program and its arguments to run in place of every function.
    pub stand_in: Option<(PathBuf, Vec<String>)>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            parameters: BTreeMap::new(),
            speed: 1.0,
            simulate: true,
            concurrency: 10,
            pollers: 1,
            stand_in: None,
        }
    }
}

impl Options {
    /// Sets a parameter of the template.
    pub fn parameter(mut self, name: &str, value: &str) -> Self {
        self.parameters.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Makes the world's clock run this many times as fast as real time.
    pub fn speed(mut self, speed: f64) -> Self {
        self.speed = speed;
        self
    }
}

/// AWS on this machine, with the functions at work. Dropping it ends everything it started.
pub struct Testbed {
    // The pollers go first, so that nobody polls a world that is gone.
    _pollers: JoinSet<()>,
    lambda: Arc<Lambda>,
    journal: Arc<Journal>,
    stack: Stack,
    sqs: Client,
    /// The world, for looking at it and for making things happen.
    pub world: World,
}

impl Testbed {
    /// Builds the functions, starts a world and serves its queues.
    pub async fn start(options: Options) -> Result<Self> {
        if !(options.speed.is_finite() && options.speed > 0.0) {
            bail!("the speed must be a positive number, not {}", options.speed);
        }
        let workspace = Workspace::locate()?;
        if options.stand_in.is_none() {
            let workspace = workspace.clone();
            let built = tokio::task::spawn_blocking(move || functions::build(&workspace));
            built.await.context("building was given up")??;
        }

        let clock = match options.speed {
            1.0 => Clock::real(),
            speed => Clock::fast(speed),
        };
        let world = World::start(WorldOptions {
            parameters: options.parameters.clone(),
            clock,
            simulate: options.simulate,
        })
        .await?;
        let stack = world.stack().await?;
        let journal = Arc::new(Journal::new(clock));
        let specs = FUNCTIONS
            .iter()
            .map(|name| {
                let function = stack
                    .function(name)
                    .with_context(|| format!("template.yaml deploys no function for the binary {name}"))?;
                let mapping = stack
                    .mapping(name)
                    .with_context(|| format!("template.yaml maps no queue to the function of {name}"))?;
                let place = Place::of(&mapping.queue_arn);
                Ok(specification(
                    name, function, &place, &world, &workspace, &options,
                ))
            })
            .collect::<Result<_>>()?;
        let arn = stack.queues.first().map_or("", |queue| &queue.arn);
        let sqs = sqs_client(&world, arn, "testbed");
        let lambda = Arc::new(Lambda::new(specs, Arc::clone(&journal)));

        let mut bed = Self {
            _pollers: JoinSet::new(),
            lambda,
            journal,
            stack,
            sqs,
            world,
        };
        for function in FUNCTIONS {
            bed.serve_queue(function, &options)?;
        }
        Ok(bed)
    }

    fn serve_queue(&mut self, function: &str, options: &Options) -> Result<()> {
        let queue = self.queue(function)?.clone();
        let mapping = self.stack.mapping(function).context("no mapping for the queue")?;
        let concurrency = mapping.maximum_concurrency.unwrap_or(usize::MAX);
        let source = Arc::new(EventSource {
            function: function.to_owned(),
            mapping: mapping.clone(),
            queue,
            sqs: sqs_client(&self.world, &mapping.queue_arn, "event-source-mapping"),
            lambda: Arc::clone(&self.lambda),
            journal: Arc::clone(&self.journal),
            clock: self.world.clock(),
            slots: Arc::new(Semaphore::new(concurrency.min(Semaphore::MAX_PERMITS))),
        });
        for _ in 0..options.pollers {
            self._pollers.spawn(Arc::clone(&source).poll());
        }
        Ok(())
    }

    /// Puts an event on the bus as AWS itself would; answers which rules matched.
    pub async fn put_event(&self, event: &Value) -> Result<Vec<String>> {
        self.world.put_event(event).await
    }

    /// Puts a message on a function's queue, past the bus.
    pub async fn send(&self, function: &str, body: &str) -> Result<()> {
        let url = &self.queue(function)?.url;
        let message = self.sqs.send_message().queue_url(url).message_body(body);
        message
            .send()
            .await
            .with_context(|| format!("cannot put a message on the queue of {function}"))?;
        Ok(())
    }

    /// Invokes a function directly, for example with one bare event.
    pub async fn invoke(&self, function: &str, payload: &Value) -> Result<Outcome> {
        self.lambda.invoke(function, payload.to_string()).await
    }

    /// Every report so far.
    pub fn reports(&self) -> Vec<Report> {
        self.journal.reports()
    }

    /// Everything that happened so far, and a way to follow it.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// What the template deployed.
    pub fn stack(&self) -> &Stack {
        &self.stack
    }

    /// The queue that feeds a function.
    pub fn queue(&self, function: &str) -> Result<&Queue> {
        let mapping = self.stack.mapping(function);
        mapping
            .and_then(|mapping| self.stack.queue(&mapping.queue_arn))
            .with_context(|| format!("template.yaml maps no queue to {function}"))
    }

    /// The dead-letter queue behind a function's queue.
    pub fn dead_letter_queue(&self, function: &str) -> Result<&Queue> {
        let arn = self.queue(function)?.dead_letter_arn.as_deref();
        arn.and_then(|arn| self.stack.queue(arn))
            .with_context(|| format!("the queue of {function} has no dead-letter queue"))
    }

    /// Waits until no message can be received and no function runs. Messages that are delayed
    /// may be left, for minutes to come. The limit is real time.
    pub async fn until_idle(&self, limit: Duration) -> Result<()> {
        self.until(limit, Backlog::is_idle).await
    }

    /// Waits until nothing is left to do, delayed messages included. The limit is real time.
    pub async fn until_settled(&self, limit: Duration) -> Result<()> {
        self.until(limit, Backlog::is_settled).await
    }

    async fn until(&self, limit: Duration, enough: fn(&Backlog) -> bool) -> Result<()> {
        let closes = Instant::now() + limit;
        let mut before = None;
        loop {
            let position = self.journal.len();
            let backlog = self.backlog().await?;
            let enough = enough(&backlog);
            // The queues are asked one after the other, so a message can slip through between
            // two of them. It would have left a trace: look twice and compare.
            if enough && before == Some(position) {
                return Ok(());
            }
            if Instant::now() > closes {
                return Err(anyhow!("still busy after {limit:?}: {backlog}"));
            }
            before = enough.then_some(position);
            sleep(LOOK_AGAIN).await;
        }
    }

    /// What is left to do.
    pub async fn backlog(&self) -> Result<Backlog> {
        let mut backlog = Backlog {
            running: self.lambda.running(),
            ..Backlog::default()
        };
        for function in FUNCTIONS {
            let queue = self.queue(function)?;
            let answer = self
                .sqs
                .get_queue_attributes()
                .queue_url(&queue.url)
                .attribute_names(QueueAttributeName::All)
                .send()
                .await
                .with_context(|| format!("cannot look at {}", queue.name))?;
            let count = |name: QueueAttributeName| -> u64 {
                let value = answer.attributes().and_then(|all| all.get(&name));
                value.and_then(|value| value.parse().ok()).unwrap_or(0)
            };
            backlog.visible += count(QueueAttributeName::ApproximateNumberOfMessages);
            backlog.in_flight += count(QueueAttributeName::ApproximateNumberOfMessagesNotVisible);
            backlog.delayed += count(QueueAttributeName::ApproximateNumberOfMessagesDelayed);
        }
        Ok(backlog)
    }
}

/// What is left to do in a bed; dead-letter queues do not count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Messages that wait to be received.
    pub visible: u64,
    /// Messages that a function works on, or failed at and will get again.
    pub in_flight: u64,
    /// Messages that were sent to appear later.
    pub delayed: u64,
    /// Invocations that run.
    pub running: usize,
}

impl Backlog {
    /// Whether nothing happens until a delayed message appears.
    pub fn is_idle(&self) -> bool {
        self.visible == 0 && self.in_flight == 0 && self.running == 0
    }

    /// Whether nothing happens any more.
    pub fn is_settled(&self) -> bool {
        self.is_idle() && self.delayed == 0
    }
}

impl std::fmt::Display for Backlog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            visible,
            in_flight,
            delayed,
            running,
        } = self;
        write!(
            f,
            "{visible} messages waiting, {in_flight} in flight, {delayed} delayed, {running} invocations running"
        )
    }
}

/// Region and account, which every ARN of a stack shares.
struct Place<'a> {
    region: &'a str,
    account: &'a str,
}

impl<'a> Place<'a> {
    fn of(arn: &'a str) -> Self {
        // arn:PARTITION:SERVICE:REGION:ACCOUNT:NAME
        let mut parts = arn.split(':').skip(3);
        let region = parts.next().unwrap_or_default();
        let account = parts.next().unwrap_or_default();
        Self { region, account }
    }
}

/// How Lambda would run a function in this world.
fn specification(
    name: &str,
    function: &Function,
    place: &Place<'_>,
    world: &World,
    workspace: &Workspace,
    options: &Options,
) -> FunctionSpec {
    let Place { region, account } = place;
    let mut environment = function.environment.clone();
    let mut set = |name: &str, value: &str| environment.insert(name.to_owned(), value.to_owned());
    set("AWS_LAMBDA_FUNCTION_NAME", &function.name);
    set("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", &function.memory_mb.to_string());
    set("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST");
    set(
        "AWS_LAMBDA_LOG_GROUP_NAME",
        &format!("/aws/lambda/{}", function.name),
    );
    set("AWS_LAMBDA_LOG_STREAM_NAME", "[$LATEST]testbed");
    set("AWS_REGION", region);
    set("AWS_ENDPOINT_URL", world.url());
    // The embedded AWS counts and limits calls by this name.
    set("AWS_ACCESS_KEY_ID", name);
    set("AWS_SECRET_ACCESS_KEY", "not-a-secret");
    set("PATH", &std::env::var("PATH").unwrap_or_default());
    if let Some(setting) = world.clock().setting() {
        set(Clock::VARIABLE, &setting);
    }
    let own = || (functions::binary(workspace, name), Vec::new());
    let (program, arguments) = options.stand_in.clone().unwrap_or_else(own);
    FunctionSpec {
        name: name.to_owned(),
        program,
        arguments,
        environment,
        arn: format!("arn:aws:lambda:{region}:{account}:function:{}", function.name),
        timeout: Duration::from_secs(function.timeout_seconds),
        concurrency: options.concurrency,
    }
}

fn sqs_client(world: &World, queue_arn: &str, caller: &str) -> Client {
    let config = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(world.url())
        .region(Region::new(Place::of(queue_arn).region.to_owned()))
        .credentials_provider(Credentials::new(caller, "not-a-secret", None, None, "testbed"))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        // A long poll is silent for its whole length; that is not a stalled stream.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .build();
    Client::from_conf(config)
}
