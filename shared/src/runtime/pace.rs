//! How fast a client goes on after AWS has throttled one of its calls.
//!
//! A storm begins with all calls at once, and AWS admits them up to a burst. It refuses the rest. Repeating a refused
//! call too soon only costs another call; and if one of AWS's buckets is empty, the call may still have drawn on the
//! others. So from the first refusal on, each attempt waits for its turn.
//!
//! The adaptive mode of the SDK is different: its rate falls to one call in two seconds while somebody else uses up the
//! account's rate. This rate never falls below the client's share, since there are only two minutes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::interceptors::context::FinalizerInterceptorContextRef;
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, Metadata};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use aws_types::SdkConfig;
use tokio::time::{Instant, sleep_until};

use crate::runtime::aws::is_throttled;
use crate::runtime::clock::Clock;

/// How long after the last refusal attempts wait for their turns.
const PACED_FOR: Duration = Duration::from_secs(3);
/// No attempt waits longer than this. The shortest time limit of a call is two seconds, the wait included.
const LONGEST_WAIT: Duration = Duration::from_millis(1500);

/// Calls a second: the share of one process when a storm keeps two processes of each function busy.
#[derive(Debug, Clone, Copy)]
pub struct Rates {
    reads: f64,
    changes: f64,
}

impl Rates {
    /// AWS allows 20 reads and 40 changes a second for the resources of clusters.
    /// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/request-throttling.html>
    pub const ECS: Self = Self {
        reads: 6.0,
        changes: 12.0,
    };
    /// AWS allows 10 calls a second, 4 of which may register or deregister targets.
    /// <https://docs.aws.amazon.com/elasticloadbalancing/latest/userguide/elb-api-throttling.html>
    pub const ELB: Self = Self {
        reads: 4.0,
        changes: 2.5,
    };
    /// AWS documents no numbers.
    pub const AUTO_SCALING: Self = Self {
        reads: 4.0,
        changes: 3.0,
    };
}

/// The pace of a client: an interceptor that sees refusals, and an HTTP client that waits.
#[derive(Debug, Clone)]
pub struct Pace {
    reads: Turns,
    changes: Turns,
}

impl Pace {
    /// A client that has not been throttled yet.
    pub fn new(rates: Rates, clock: Clock) -> Self {
        Self {
            reads: Turns::new(rates.reads, clock),
            changes: Turns::new(rates.changes, clock),
        }
    }

    /// The configuration for a client whose attempts wait for their turns. The client also needs this as an
    /// interceptor.
    pub fn around(&self, sdk: &SdkConfig) -> SdkConfig {
        let Some(client) = sdk.http_client() else {
            return sdk.clone();
        };
        let pace = self.clone();
        let paced = http_client_fn(move |settings, components| {
            SharedHttpConnector::new(Paced {
                inner: client.http_connector(settings, components),
                pace: pace.clone(),
            })
        });
        sdk.to_builder().http_client(paced).build()
    }

    /// AWS has separate buckets for reads and for changes.
    fn of(&self, action: &str) -> &Turns {
        match action.starts_with("Describe") || action.starts_with("List") {
            true => &self.reads,
            false => &self.changes,
        }
    }
}

#[dyn_dispatch_hint]
impl Intercept for Pace {
    fn name(&self) -> &'static str {
        "Pace"
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let action = config.load::<Metadata>().map(Metadata::name);
        if let (Some(action), Some(response)) = (action, context.response())
            && is_throttled(response)
        {
            self.of(action).refused(Instant::now());
        }
        Ok(())
    }
}

/// Turns, one after the other, for as long as needed.
#[derive(Debug, Clone)]
struct Turns {
    between: Duration,
    paced_for: Duration,
    longest_wait: Duration,
    state: Arc<Mutex<Option<Paces>>>,
}

#[derive(Debug, Clone, Copy)]
struct Paces {
    until: Instant,
    next: Instant,
}

impl Turns {
    fn new(per_second: f64, clock: Clock) -> Self {
        Self {
            between: clock.real_duration(Duration::from_secs_f64(1.0 / per_second)),
            paced_for: clock.real_duration(PACED_FOR),
            longest_wait: clock.real_duration(LONGEST_WAIT),
            state: Arc::default(),
        }
    }

    fn refused(&self, now: Instant) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let next = state.map_or(now, |paces| paces.next);
        *state = Some(Paces {
            until: now + self.paced_for,
            next: next.max(now + self.between),
        });
    }

    /// The moment of the next attempt.
    fn turn(&self, now: Instant) -> Instant {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(paces) = state.as_mut().filter(|paces| now < paces.until) else {
            *state = None;
            return now;
        };
        let turn = paces.next.clamp(now, now + self.longest_wait);
        paces.next = turn + self.between;
        turn
    }
}

#[derive(Debug)]
struct Paced {
    inner: SharedHttpConnector,
    pace: Pace,
}

impl HttpConnector for Paced {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let now = Instant::now();
        let turn = self.pace.of(&action(&request)).turn(now);
        if turn <= now {
            return self.inner.call(request);
        }
        let inner = self.inner.clone();
        HttpConnectorFuture::new(async move {
            sleep_until(turn).await;
            inner.call(request).await
        })
    }
}

/// The action of a request: in JSON protocols it is in a header, in form protocols it is the first field.
fn action(request: &HttpRequest) -> String {
    let target = request.headers().get("x-amz-target");
    let of_target = target.and_then(|target| target.rsplit('.').next());
    let of_form = || {
        let form = request.body().bytes()?.strip_prefix(b"Action=")?;
        let action = form.split(|byte| *byte == b'&').next()?;
        std::str::from_utf8(action).ok()
    };
    of_target.or_else(of_form).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn after_a_refusal_attempts_take_turns_until_none_is_refused() {
        let turns = Turns::new(4.0, Clock::real());
        let start = Instant::now();
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        let turn = |milliseconds| turns.turn(at(milliseconds)).duration_since(start).as_millis();
        assert_eq!([turn(0), turn(0), turn(0)], [0, 0, 0], "a burst");
        turns.refused(at(100));
        assert_eq!([turn(100), turn(100), turn(900)], [350, 600, 900]);
        turns.refused(at(1_000));
        let many: Vec<u128> = (0..12).map(|_| turn(1_000)).collect();
        assert_eq!(many[..2], [1_250, 1_500]);
        assert_eq!(many[11], 2_500, "no more than a second and a half");
        assert_eq!(
            [turn(4_100), turn(4_100)],
            [4_100, 4_100],
            "none was refused for long"
        );
    }

    #[test]
    fn reads_and_changes_have_turns_of_their_own() {
        let pace = Pace::new(Rates::ECS, Clock::real());
        let is_read = |action| Arc::ptr_eq(&pace.of(action).state, &pace.reads.state);
        assert!(is_read("DescribeTasks") && is_read("ListTasks"));
        assert!(!is_read("StopTask") && !is_read("DeregisterTargets") && !is_read(""));
    }

    #[test]
    fn the_action_is_read_as_each_protocol_writes_it() {
        let mut json = HttpRequest::empty();
        json.headers_mut()
            .insert("x-amz-target", "AmazonEC2ContainerServiceV20141113.ListTasks");
        assert_eq!(action(&json), "ListTasks");
        let mut form = HttpRequest::empty();
        *form.body_mut() = "Action=DescribeTargetHealth&Version=2015-12-01".into();
        assert_eq!(action(&form), "DescribeTargetHealth");
        assert_eq!(action(&HttpRequest::empty()), "");
    }
}
