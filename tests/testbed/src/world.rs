//! One world of the embedded AWS: a separate account, with the sample fleet and the stack.

use std::any::Any;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use reqwest::Method;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::clock::Clock;
use crate::options::Pace;
use crate::stack::Stack;
use crate::state::{QueueState, State};
use crate::supervisor::Supervisor;
use crate::workspace::Workspace;

/// What a world starts with.
#[derive(Debug, Clone)]
pub struct WorldOptions {
    /// Parameters of the template that differ from their defaults.
    pub parameters: BTreeMap<String, String>,
    /// Its clock.
    pub clock: Clock,
    /// Whether AWS acts by itself, as the real one does: tasks start, instances boot, targets drain.
    pub simulate: bool,
    /// How long AWS takes for that.
    pub pace: Pace,
    /// What the numbers and variants of the real pace are drawn by.
    pub seed: u64,
    /// Which variants of open facts AWS plays, by their names in the embedded AWS's `pace.json`.
    pub variants: BTreeMap<String, String>,
    /// Whether the functions may only do what the template's roles allow.
    pub enforce_iam: bool,
    /// A large fleet in addition to the sample fleet: see the README of the embedded AWS.
    pub storm: Option<Value>,
}

/// One call that reached the embedded AWS.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Call {
    pub n: u64,
    /// Milliseconds since the Unix epoch, by the world's clock.
    pub at_ms: f64,
    /// The function that called, or `testbed`.
    pub caller: Option<String>,
    pub service: String,
    pub action: String,
    pub status: u16,
    pub error: Option<String>,
    pub ms: f64,
}

/// A message that was published to a topic.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Notification {
    /// ARN of the topic.
    pub topic: String,
    /// Its subject.
    pub subject: Option<String>,
    /// Its text.
    pub message: String,
    /// Its attributes, by which subscriptions filter.
    pub attributes: BTreeMap<String, String>,
}

/// An error that an API model names for an action.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ModelledError {
    /// The error code on the wire.
    pub code: String,
    /// The HTTP status.
    pub status: u16,
}

/// When a scenario is about something.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub struct Measured {
    /// The moment of the first warning, in milliseconds since the Unix epoch by the world's clock.
    pub zero_ms: f64,
    /// The end of the scenario.
    pub end_ms: f64,
}

/// What the roles of a stack allow, as `service:Action`.
#[derive(Debug, Clone, Deserialize)]
pub struct Permissions {
    /// By function.
    pub roles: BTreeMap<String, Vec<String>>,
    /// Permissions that Lambda itself uses under the role of a function, by AWS's own policies.
    pub lambda: Vec<String>,
}

/// A running world; dropping it ends it.
pub struct World {
    url: String,
    clock: Clock,
    http: reqwest::Client,
    from: From,
}

/// What serves a world.
enum From {
    /// A process of the embedded AWS.
    Embedded {
        supervisor: &'static Supervisor,
        pid: u32,
    },
    /// Somebody else, for as long as this lives.
    Elsewhere(Box<dyn Any + Send + Sync>),
}

#[derive(Deserialize)]
struct Born {
    url: String,
    pid: u32,
}

impl World {
    /// Starts a world. The first one of a program also starts the embedded AWS.
    pub async fn start(options: WorldOptions) -> Result<Self> {
        let supervisor = tokio::task::spawn_blocking(|| {
            let workspace = Workspace::locate()?;
            Supervisor::shared(&workspace)
        })
        .await
        .context("starting the embedded AWS was given up")??;

        let mut world = Self {
            url: String::new(),
            clock: options.clock,
            http: http_client()?,
            from: From::Embedded { supervisor, pid: 0 },
        };
        let body = json!({
            "parameters": options.parameters,
            "clock": options.clock.setting(),
            "simulate": options.simulate,
            "pace": options.pace,
            "seed": options.seed,
            "variants": options.variants,
            "enforce_iam": options.enforce_iam,
            "storm": options.storm,
        });
        let address = format!("{}/worlds", supervisor.control);
        let born: Born = world
            .request(Method::POST, &address, Some(&body))
            .await
            .context("the embedded AWS could not start a world")?;
        world.url = born.url;
        world.from = From::Embedded {
            supervisor,
            pid: born.pid,
        };
        Ok(world)
    }

    /// A world that another server serves at this address, for as long as `server` lives.
    ///
    /// # Errors
    /// Where no HTTP client can be built.
    pub fn elsewhere(url: String, clock: Clock, server: impl Any + Send + Sync) -> Result<Self> {
        Ok(Self {
            url,
            clock,
            http: http_client()?,
            from: From::Elsewhere(Box::new(server)),
        })
    }

    /// What serves it, where it is one of these.
    pub fn server<S: Any>(&self) -> Option<&S> {
        match &self.from {
            From::Elsewhere(server) => server.downcast_ref(),
            From::Embedded { .. } => None,
        }
    }

    /// Whether the embedded AWS serves it.
    pub fn is_embedded(&self) -> bool {
        matches!(self.from, From::Embedded { .. })
    }

    /// The sample fleet, in a form for another AWS.
    pub async fn fleet<F: DeserializeOwned>(&self) -> Result<F> {
        self.control(Method::GET, "fleet", None).await
    }

    /// The endpoint of every AWS service in this world.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The clock of this world.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// What the template deployed.
    pub async fn stack(&self) -> Result<Stack> {
        self.control(Method::GET, "stack", None).await
    }

    /// What is where, now.
    pub async fn state(&self) -> Result<State> {
        self.control(Method::GET, "state", None).await
    }

    /// The queues alone: cheaper to ask for again and again.
    pub async fn queues(&self) -> Result<Vec<QueueState>> {
        self.control(Method::GET, "queues", None).await
    }

    /// The AWS calls so far.
    pub async fn calls(&self) -> Result<Vec<Call>> {
        self.control(Method::GET, "calls", None).await
    }

    /// Forgets the AWS calls so far.
    pub async fn clear_calls(&self) -> Result<()> {
        self.control::<Value>(Method::DELETE, "calls", None).await?;
        Ok(())
    }

    /// Puts an event on the bus as AWS itself would; answers which rules matched.
    pub async fn put_event(&self, event: &Value) -> Result<Vec<String>> {
        #[derive(Deserialize)]
        struct Matched {
            matched: Vec<String>,
        }
        let answer: Matched = self.control(Method::POST, "events", Some(event)).await?;
        Ok(answer.matched)
    }

    /// Puts several events on the bus at the same moment, so that whoever takes messages from a queue finds all of
    /// them.
    pub async fn put_events(&self, events: &[Value]) -> Result<()> {
        let _: Value = self.control(Method::POST, "events", Some(&json!(events))).await?;
        Ok(())
    }

    /// The events that came by PutEvents so far.
    pub async fn events(&self) -> Result<Vec<Value>> {
        self.control(Method::GET, "events", None).await
    }

    /// What was published to topics so far.
    pub async fn notifications(&self) -> Result<Vec<Notification>> {
        self.control(Method::GET, "notifications", None).await
    }

    /// Makes AWS calls fail; see the embedded AWS's README for the form.
    pub async fn faults(&self, faults: &Value) -> Result<()> {
        self.control::<Value>(Method::POST, "faults", Some(faults))
            .await?;
        Ok(())
    }

    /// How many calls have suffered a fault.
    pub async fn faults_struck(&self) -> Result<u64> {
        let answer: Value = self.control(Method::GET, "faults", None).await?;
        answer["struck"].as_u64().context("a number of faults")
    }

    /// The errors that the API model of each service names: by service and action.
    pub async fn modelled_errors(&self) -> Result<BTreeMap<String, BTreeMap<String, Vec<ModelledError>>>> {
        self.control(Method::GET, "errors", None).await
    }

    /// What the roles of the functions allow.
    pub async fn permissions(&self) -> Result<Permissions> {
        self.control(Method::GET, "permissions", None).await
    }

    /// Takes all faults back.
    pub async fn clear_faults(&self) -> Result<()> {
        self.control::<Value>(Method::DELETE, "faults", None).await?;
        Ok(())
    }

    /// Sets latencies and token buckets of AWS calls.
    pub async fn limits(&self, limits: &Value) -> Result<()> {
        self.control::<Value>(Method::POST, "limits", Some(limits))
            .await?;
        Ok(())
    }

    /// Changes how the embedded AWS answers; see its README for the settings.
    pub async fn settings(&self, settings: &Value) -> Result<()> {
        self.control::<Value>(Method::POST, "settings", Some(settings))
            .await?;
        Ok(())
    }

    /// Tags an Auto Scaling group, as its owner would.
    pub async fn tag_group(&self, group: &str, key: &str, value: &str) -> Result<()> {
        let form = [
            ("Action", "CreateOrUpdateTags"),
            ("Version", "2011-01-01"),
            ("Tags.member.1.ResourceId", group),
            ("Tags.member.1.ResourceType", "auto-scaling-group"),
            ("Tags.member.1.Key", key),
            ("Tags.member.1.Value", value),
            ("Tags.member.1.PropagateAtLaunch", "false"),
        ];
        // The embedded AWS reads who calls what from the signature, and does not check it.
        let signature = "AWS4-HMAC-SHA256 Credential=testbed/20260101/us-east-1/autoscaling/aws4_request, \
                         SignedHeaders=host, Signature=0";
        let request = self.http.post(&self.url).header("Authorization", signature);
        let response = request.form(&form).send().await?;
        if !response.status().is_success() {
            bail!("cannot tag group {group}: {}", response.text().await?);
        }
        Ok(())
    }

    /// The bodies of all items of a kind in the stack's table.
    pub async fn items(&self, what: &str) -> Result<Vec<Value>> {
        let signature = "AWS4-HMAC-SHA256 Credential=testbed/20260101/us-east-1/dynamodb/aws4_request, \
                         SignedHeaders=host, Signature=0";
        let request = self.http.post(&self.url).header("Authorization", signature);
        let scan = request
            .header("X-Amz-Target", "DynamoDB_20120810.Scan")
            .header("Content-Type", "application/x-amz-json-1.0")
            .body(json!({ "TableName": "spot-handoff" }).to_string());
        let response = scan.send().await?;
        let (status, text) = (response.status(), response.text().await?);
        if !status.is_success() {
            bail!("cannot read the table: {text}");
        }
        let answer: Value = serde_json::from_str(&text)?;
        let items = answer["Items"].as_array().cloned().unwrap_or_default();
        let of_kind = items.iter().filter(|item| item["what"]["S"] == what);
        let body = |item: &Value| {
            Ok(serde_json::from_str(
                item["body"]["S"].as_str().unwrap_or_default(),
            )?)
        };
        of_kind.map(body).collect()
    }

    /// Says where the functions run, for whoever calls Lambda's Invoke.
    pub(crate) async fn functions_run_at(&self, url: &str) -> Result<()> {
        let place = json!({ "url": url });
        self.control::<Value>(Method::POST, "functions", Some(&place))
            .await?;
        Ok(())
    }

    /// Lets AWS do something of its own accord: reclaim an instance, end a task.
    pub async fn happen(&self, what: &Value) -> Result<Value> {
        self.control(Method::POST, "happen", Some(what)).await
    }

    /// Begins to measure what happens to the work in a scenario, with the contender that acts inside the world.
    pub async fn start_meter(&self, scenario: &Value, contender: &str) -> Result<Measured> {
        let order = json!({ "scenario": scenario, "contender": contender });
        self.control(Method::POST, "meter", Some(&order)).await
    }

    /// What was measured so far.
    pub async fn meter(&self) -> Result<Value> {
        self.control(Method::GET, "meter", None).await
    }

    /// Makes time leap to the moment at which one of these queues has a message, or to `until_ms`. It does not leap
    /// if pollers got messages other than the `received` ones: those are still on their way.
    pub async fn leap(&self, until_ms: f64, queues: &[&str], received: usize) -> Result<()> {
        let order = json!({ "until_ms": until_ms, "queues": queues, "received": received });
        let told: Value = self.control(Method::POST, "leap", Some(&order)).await?;
        let setting = told["setting"].as_str().context("no setting of the clock")?;
        self.clock.leap(setting);
        Ok(())
    }

    async fn control<T: DeserializeOwned>(
        &self,
        method: Method,
        what: &str,
        body: Option<&Value>,
    ) -> Result<T> {
        let address = format!("{}/_embedded/{what}", self.url);
        self.request(method, &address, body).await
    }

    async fn request<T: DeserializeOwned>(
        &self,
        method: Method,
        address: &str,
        body: Option<&Value>,
    ) -> Result<T> {
        let mut request = self.http.request(method, address);
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.map_err(|error| {
            let error = anyhow!(error);
            match &self.from {
                From::Elsewhere(_) => error.context("the AWS of this world does not answer"),
                From::Embedded { supervisor, .. } => error.context(format!(
                    "the embedded AWS does not answer; the end of its log:\n{}",
                    supervisor.log()
                )),
            }
        })?;
        let status = response.status();
        let text = response.text().await?;
        if !status.is_success() {
            let told: Value = serde_json::from_str(&text).unwrap_or_default();
            match told["error"].as_str() {
                Some(reason) => bail!("{reason}"),
                None => bail!("{address} answered {status}: {text}"),
            }
        }
        // An empty answer stands for nothing to say.
        let json = if text.is_empty() { "null" } else { &text };
        serde_json::from_str(json).with_context(|| format!("{address} answered something unexpected: {text}"))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let From::Embedded {
            supervisor,
            pid: pid @ 1..,
        } = self.from
        else {
            return;
        };
        // A destructor cannot await. This takes a millisecond. If it fails, the world ends with the embedded AWS at
        // the latest.
        if let Some(address) = supervisor.control.strip_prefix("http://") {
            let _ = delete(address, &format!("/worlds/{pid}"));
        }
    }
}

fn http_client() -> Result<reqwest::Client> {
    reqwest::Client::builder()
        // Do not use the machine's proxy for a loopback address.
        .no_proxy()
        .timeout(Duration::from_secs(120))
        .build()
        .context("cannot build an HTTP client")
}

fn delete(address: &str, path: &str) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    write!(
        stream,
        "DELETE {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let _ = stream.read(&mut [0; 64])?;
    Ok(())
}
