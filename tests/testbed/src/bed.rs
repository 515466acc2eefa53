//! The whole of it: a world, the functions running in it, and their queues being served.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::Value;
use spot_handoff::report::Report;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::backlog::Backlog;
use crate::clock::Clock;
use crate::deployment::{logs_client, specification, sqs_client};
use crate::environment::FunctionSpec;
use crate::event_source::EventSource;
use crate::functions::{self, ANNOUNCER, FUNCTIONS, RUNNER};
use crate::invoke;
use crate::journal::Journal;
use crate::lambda::Lambda;
use crate::logs;
use crate::options::Options;
use crate::outcome::Outcome;
use crate::stack::{Queue, Stack};
use crate::workspace::Workspace;
use crate::world::{World, WorldOptions};

/// How often a bed is asked whether it is idle.
const LOOK_AGAIN: Duration = Duration::from_millis(150);

/// The longest leap in one call. The answer comes when AWS has done everything in between.
const LONGEST_LEAP_MS: f64 = 600_000.0;
/// How much time the functions that a leap woke have before the next leap.
const LEAP_AGAIN: Duration = Duration::from_millis(5);

/// AWS on this machine, with the functions at work. Dropping it ends everything it started.
pub struct Testbed {
    // Callers of the world are dropped first, so that nobody calls a world that is gone.
    background: JoinSet<()>,
    functions: Vec<&'static str>,
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
        Self::start_in(options, async |world| Ok(world)).await
    }

    /// The same, in the world that `change` makes from a world of the embedded AWS.
    pub async fn start_in(
        options: Options,
        change: impl AsyncFnOnce(World) -> Result<World>,
    ) -> Result<Self> {
        if !(options.speed.is_finite() && options.speed > 0.0) {
            bail!("the speed must be a positive number, not {}", options.speed);
        }
        let workspace = Workspace::locate()?.with_profile(options.profile);
        workspace.check_writable()?;
        if options.stand_in.is_none() {
            let workspace = workspace.clone();
            let built = tokio::task::spawn_blocking(move || functions::build(&workspace));
            built.await.context("building was given up")??;
        }

        let clock = match options.speed {
            1.0 => Clock::real(),
            speed => Clock::fast(speed),
        };
        let world_options = WorldOptions {
            parameters: options.parameters.clone(),
            clock,
            simulate: options.simulate,
            pace: options.pace,
            seed: options.seed,
            variants: options.variants.clone(),
            enforce_iam: options.stand_in.is_none(),
            storm: options.storm.clone(),
        };
        let world = change(World::start(world_options).await?).await?;
        let mut stack = world.stack().await?;
        for mapping in &mut stack.event_source_mappings {
            options.mapping.apply(mapping);
        }
        let (log, lines) = mpsc::unbounded_channel();
        let journal = Arc::new(Journal::new(clock).with_log(log));
        let functions: Vec<_> = FUNCTIONS
            .into_iter()
            .chain([RUNNER])
            .chain(options.announce.then_some(ANNOUNCER))
            .collect();
        let specs = functions
            .iter()
            .map(|name| {
                let function = stack
                    .function(name)
                    .with_context(|| format!("template.yaml deploys no function for the binary {name}"))?;
                let queue = stack.queue_of(name)?;
                Ok(specification(name, function, queue, &world, &workspace, &options))
            })
            .collect::<Result<_>>()?;
        let queue = stack.queue_of(FUNCTIONS[0])?;
        let sqs = sqs_client(&world, queue, "testbed");
        let lambda = Arc::new(Lambda::new(specs, Arc::clone(&journal)));

        let mut background = JoinSet::new();
        // Other worlds have no logs, and nobody invokes a function through them.
        if world.is_embedded() {
            background.spawn(logs::ship(
                logs_client(&world, queue),
                groups(&stack, &functions),
                lines,
            ));
            let (url, serving) = invoke::serve(Arc::clone(&lambda), names(&stack, &functions)).await?;
            background.spawn(serving);
            world.functions_run_at(&url).await?;
        }

        let mut bed = Self {
            background,
            functions: functions.clone(),
            lambda,
            journal,
            stack,
            sqs,
            world,
        };
        for function in functions {
            bed.serve_queue(function, &options)?;
        }
        Ok(bed)
    }

    fn serve_queue(&mut self, function: &str, options: &Options) -> Result<()> {
        let queue = self.queue(function)?.clone();
        let mapping = self.stack.mapping(function).context("no mapping for the queue")?;
        let most = mapping.maximum_concurrency.unwrap_or(usize::MAX);
        let at_first = if options.pollers_grow {
            options.pollers
        } else {
            Semaphore::MAX_PERMITS
        };
        let source = Arc::new(EventSource {
            function: function.to_owned(),
            mapping: mapping.clone(),
            sqs: sqs_client(&self.world, &queue, &format!("{function}.poller")),
            set_right: self.sqs.clone(),
            queue,
            lambda: Arc::clone(&self.lambda),
            journal: Arc::clone(&self.journal),
            clock: self.world.clock(),
            brings_back: options.stand_in.is_none() && (FUNCTIONS.contains(&function) || function == RUNNER),
            slots: Arc::new(Semaphore::new(most.min(at_first))),
        });
        for _ in 0..options.pollers {
            self.background.spawn(Arc::clone(&source).poll());
        }
        if options.pollers_grow {
            self.background.spawn(source.grow(options.pollers));
        }
        Ok(())
    }

    /// The variables by which an AWS SDK, the AWS CLI or another program finds this AWS, and its time.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let mut variables = vec![
            ("AWS_ENDPOINT_URL", self.world.url().to_owned()),
            ("AWS_REGION", self.stack.region().to_owned()),
            // Version 1 of the AWS CLI knows this one only.
            ("AWS_DEFAULT_REGION", self.stack.region().to_owned()),
            ("AWS_ACCESS_KEY_ID", "sandbox".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "not-a-secret".to_owned()),
        ];
        variables.extend(
            self.world
                .clock()
                .setting()
                .map(|setting| (Clock::VARIABLE, setting)),
        );
        variables
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

    /// Kills the processes of a function that are at work, as a crash or a lost host would.
    pub fn kill(&self, function: &str) {
        self.lambda.kill(function);
    }

    /// The process ids of those execution environments of a function that wait for work.
    pub fn processes(&self, function: &str) -> Vec<u32> {
        self.lambda.processes(function)
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

    /// What a function runs with. With this you can start a process of it yourself.
    pub fn specification(&self, function: &str) -> Result<&FunctionSpec> {
        let found = self.lambda.specification(function);
        found.with_context(|| format!("there is no function {function}"))
    }

    /// The queue that feeds a function.
    pub fn queue(&self, function: &str) -> Result<&Queue> {
        self.stack.queue_of(function)
    }

    /// The dead-letter queue behind a function's queue.
    pub fn dead_letter_queue(&self, function: &str) -> Result<&Queue> {
        let arn = self.queue(function)?.dead_letter_arn.as_deref();
        arn.and_then(|arn| self.stack.queue(arn))
            .with_context(|| format!("the queue of {function} has no dead-letter queue"))
    }

    fn queues(&self) -> impl Iterator<Item = Result<&Queue>> {
        self.functions.iter().map(|function| self.queue(function))
    }

    /// Waits until no message can be received and no function runs. Delayed messages may be left, for minutes to
    /// come. The limit is real time.
    pub async fn until_idle(&self, limit: Duration) -> Result<()> {
        self.until(limit, Backlog::is_idle).await
    }

    /// Waits until nothing is left to do, delayed messages included. It does not wait for looks at groups that are
    /// not whole, which may go on for half an hour. The limit is real time.
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
            // This asks the queues one after the other, so a message can slip through between two of them. The
            // message would leave a trace, so look twice and compare.
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

    /// Lets time pass until this moment, in milliseconds since the Unix epoch by the world's clock. While functions
    /// are at work, time passes at its pace. While only AWS is at work, it leaps. After each leap, the processes of
    /// the functions start anew.
    pub async fn play_until(&self, until_ms: f64) -> Result<()> {
        let queues = self.functions.iter().map(|function| self.queue(function));
        let queues: Vec<&str> = queues
            .map(|queue| queue.map(|queue| queue.url.as_str()))
            .collect::<Result<_>>()?;
        let clock = self.world.clock();
        while (clock.now().as_millisecond() as f64) < until_ms {
            if let Some(_paused) = self.lambda.pause() {
                let received = self.lambda.received();
                let at_most = clock.now().as_millisecond() as f64 + LONGEST_LEAP_MS;
                self.world.leap(until_ms.min(at_most), &queues, received).await?;
                if let Some(setting) = clock.setting() {
                    self.lambda.renew(Clock::VARIABLE, &setting);
                }
            }
            sleep(LEAP_AGAIN).await;
        }
        Ok(())
    }

    /// What is left to do.
    pub async fn backlog(&self) -> Result<Backlog> {
        let mut backlog = Backlog {
            running: self.lambda.running(),
            ..Backlog::default()
        };
        if self.world.is_embedded() {
            let queues = self.world.queues().await?;
            let names: Vec<&str> = self
                .queues()
                .map(|queue| Ok(queue?.name.as_str()))
                .collect::<Result<_>>()?;
            for queue in queues.iter().filter(|queue| names.contains(&queue.name.as_str())) {
                backlog.visible += queue.visible;
                backlog.in_flight += queue.in_flight;
                backlog.delayed += queue.delayed;
                backlog.watching += queue.watching;
            }
            return Ok(backlog);
        }
        for queue in self.queues() {
            let queue = queue?;
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

/// The log groups of the functions.
fn groups(stack: &Stack, functions: &[&str]) -> BTreeMap<String, String> {
    let groups = functions.iter().filter_map(|name| {
        let function = stack.function(name)?;
        Some(((*name).to_owned(), function.log_group.clone()))
    });
    groups.collect()
}

/// The functions by their names in Lambda.
fn names(stack: &Stack, functions: &[&str]) -> BTreeMap<String, String> {
    let names = functions.iter().filter_map(|name| {
        let function = stack.function(name)?;
        Some((function.name.clone(), (*name).to_owned()))
    });
    names.collect()
}
