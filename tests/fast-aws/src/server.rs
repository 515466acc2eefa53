//! The HTTP server of a fast AWS: who calls what, how long it takes, and whether it is throttled.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::account::Account;
use super::error::{Answer, AwsError, speaks_xml};
use super::record::CallRecord;
use super::{control, dynamodb, sqs};
use testbed::Clock;
use testbed::locked;

/// What the tasks of the server share.
pub(crate) struct Shared {
    pub(crate) account: Mutex<Account>,
    pub(crate) clock: Clock,
    /// Wakes readers of queues when there may be something for them.
    pub(crate) sent: Notify,
}

/// The test bed looks at things and puts them in place. It is not part of the measurement, so it is not slowed down.
const OBSERVER: &str = "testbed";

/// A request, parsed just far enough to know who asks which service for what.
struct Call {
    caller: String,
    service: String,
    action: String,
}

impl Call {
    fn read(headers: &HeaderMap, body: &[u8]) -> Self {
        let header = |name| {
            headers
                .get(name)
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
        };
        // Credential=KEY/DATE/REGION/SERVICE/aws4_request
        let credential = header("authorization")
            .split("Credential=")
            .nth(1)
            .unwrap_or_default();
        let mut parts = credential.split('/');
        let caller = parts.next().unwrap_or_default().to_owned();
        let service = parts.nth(2).unwrap_or_default().to_owned();
        let target = header("x-amz-target")
            .rsplit('.')
            .next()
            .unwrap_or_default()
            .to_owned();
        let action = if target.is_empty() {
            let field = form_urlencoded::parse(body).find(|(name, _)| name == "Action");
            field.map(|(_, action)| action.into_owned()).unwrap_or_default()
        } else {
            target
        };
        Self {
            caller,
            service,
            action,
        }
    }
}

pub(crate) async fn serve(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if let Some(route) = uri.path().strip_prefix("/_embedded/") {
        return control::answer(&shared, &method, route, &body);
    }
    let (at, began) = (shared.clock.now(), Instant::now());
    let call = Call::read(&headers, &body);
    let answer = shared.answer(&call, &body).await;
    let record = CallRecord {
        at,
        began,
        ended: Instant::now(),
        status: answer.as_ref().map_or_else(AwsError::status, |_| 200),
        error: answer.as_ref().err().map(|error| error.code.clone()),
        throttled: answer.as_ref().is_err_and(AwsError::is_throttling),
        caller: call.caller,
        service: call.service.clone(),
        action: call.action,
    };
    locked(&shared.account).record.calls.push(record);
    match answer {
        Ok(body) => {
            let kind = if speaks_xml(&call.service) {
                "text/xml"
            } else {
                "application/x-amz-json-1.1"
            };
            (StatusCode::OK, [("content-type", kind)], body).into_response()
        }
        Err(error) => error.into_response(&call.service),
    }
}

impl Shared {
    async fn answer(&self, call: &Call, body: &[u8]) -> Answer {
        let Call {
            caller,
            service,
            action,
        } = call;
        let (latency, refusal) = {
            let mut account = locked(&self.account);
            let latency = if caller == OBSERVER {
                Duration::ZERO
            } else {
                account.throttle.latency()
            };
            let fault = account.faults.strike(caller, service, action);
            let throttled = || AwsError::throttled(service);
            let units = if service == "dynamodb" {
                dynamodb::units(body)
            } else {
                1.0
            };
            let refusal = fault.or_else(|| (!account.throttle.admit(service, action, units)).then(throttled));
            (latency, refusal)
        };
        // Half of the time passes on the way there, half on the way back.
        self.pass(latency / 2).await;
        let answer = match refusal {
            Some(refusal) => Err(refusal),
            None if service == "sqs" && action == "ReceiveMessage" => self.receive(body).await,
            None => {
                let answer = locked(&self.account).answer(service, action, body);
                if service == "sqs" {
                    self.sent.notify_waiters();
                }
                answer
            }
        };
        self.pass(latency / 2).await;
        answer
    }

    async fn pass(&self, time: Duration) {
        if !time.is_zero() {
            sleep(self.clock.real_span(time)).await;
        }
    }

    /// Long polling: waits for a message to be sent, to come back, or to end its delay.
    async fn receive(&self, body: &[u8]) -> Answer {
        let request: Value = serde_json::from_slice(body).unwrap_or_default();
        let wait = Duration::from_secs(request["WaitTimeSeconds"].as_u64().unwrap_or(0));
        let gives_up = Instant::now() + self.clock.real_span(wait);
        loop {
            let sent = self.sent.notified();
            let next = {
                let mut account = locked(&self.account);
                let messages = sqs::receive(&mut account, &request)?;
                if !messages.is_empty() {
                    return Ok(json!({ "Messages": messages }).to_string());
                }
                let now = account.now();
                let queue = account.queues.get(&sqs::name(&request));
                let at = queue.and_then(sqs::Queue::next_visible_at);
                at.map(|at| self.until(now, at))
            };
            let left = gives_up.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok("{}".to_owned());
            }
            let _ = timeout(next.unwrap_or(left).min(left), sent).await;
        }
    }

    /// Real time until a moment of the world, and a little more, so that the moment has surely come.
    fn until(&self, now: Timestamp, at: Timestamp) -> Duration {
        let span = Duration::try_from(at.duration_since(now)).unwrap_or_default();
        self.clock.real_span(span) + Duration::from_millis(1)
    }
}
