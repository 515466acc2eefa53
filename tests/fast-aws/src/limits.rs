//! Latency, and AWS's request rates as token buckets. The numbers and their sources are in
//! `tests/embedded-aws/request-rates.json`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Deserialize;

/// Latency and request rates, as the embedded AWS and the fast AWS take them.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Limits {
    /// The shortest and the longest time a call takes, in milliseconds.
    pub latency_ms: Option<(u64, u64)>,
    /// Sizes by `service:Action,Action,…` or `service:*`; a call draws on every bucket that names it.
    #[serde(default)]
    pub buckets: BTreeMap<String, Size>,
}

/// The size of a bucket.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Size {
    /// How many calls may come at once.
    pub burst: f64,
    /// How many calls a second it is refilled by.
    pub per_second: f64,
}

impl Limits {
    /// The request rates of AWS: documented ones, or assumed ones where AWS documents none.
    pub fn of_aws() -> Result<Self> {
        let table = include_str!("../../embedded-aws/request-rates.json");
        serde_json::from_str(table).context("request-rates.json cannot be read")
    }
}

/// The limits at work. Their random numbers begin with the same seed in every run.
pub(crate) struct Throttle {
    latency_ms: Option<(u64, u64)>,
    random: fastrand::Rng,
    buckets: Vec<Bucket>,
}

struct Bucket {
    service: String,
    actions: Vec<String>,
    size: Size,
    tokens: f64,
    filled_at: Instant,
}

impl Throttle {
    pub(crate) fn new(limits: &Limits) -> Self {
        let bucket = |(key, size): (&String, &Size)| {
            let (service, actions) = key.split_once(':').unwrap_or((key, "*"));
            Bucket {
                service: service.to_owned(),
                actions: actions.split(',').map(str::to_owned).collect(),
                size: *size,
                tokens: size.burst,
                filled_at: Instant::now(),
            }
        };
        Self {
            latency_ms: limits.latency_ms,
            random: fastrand::Rng::with_seed(1),
            buckets: limits.buckets.iter().map(bucket).collect(),
        }
    }

    pub(crate) fn latency(&mut self) -> Duration {
        match self.latency_ms {
            Some((shortest, longest)) => {
                Duration::from_micros(self.random.u64(shortest * 1000..=longest * 1000))
            }
            None => Duration::ZERO,
        }
    }

    /// Whether a call of this many units may pass. It draws on every bucket that names it, even if one of them is
    /// empty.
    pub(crate) fn admit(&mut self, service: &str, action: &str, units: f64) -> bool {
        let now = Instant::now();
        let mut admitted = true;
        for bucket in self
            .buckets
            .iter_mut()
            .filter(|bucket| bucket.names(service, action))
        {
            admitted &= bucket.take(now, units);
        }
        admitted
    }
}

impl Bucket {
    fn names(&self, service: &str, action: &str) -> bool {
        self.service == service && self.actions.iter().any(|named| named == "*" || named == action)
    }

    fn take(&mut self, now: Instant, units: f64) -> bool {
        let gained = now.duration_since(self.filled_at).as_secs_f64() * self.size.per_second;
        self.tokens = (self.tokens + gained).min(self.size.burst);
        self.filled_at = now;
        let has_them = self.tokens >= units;
        if has_them {
            self.tokens -= units;
        }
        has_them
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_draws_on_every_bucket_that_names_it() {
        let size = |burst| Size {
            burst,
            per_second: 0.0,
        };
        let buckets = BTreeMap::from([
            ("elasticloadbalancing:*".to_owned(), size(3.0)),
            ("elasticloadbalancing:DeregisterTargets".to_owned(), size(1.0)),
        ]);
        let mut throttle = Throttle::new(&Limits {
            latency_ms: None,
            buckets,
        });
        let mut admit = |action| throttle.admit("elasticloadbalancing", action, 1.0);
        assert!(admit("DeregisterTargets"));
        assert!(!admit("DeregisterTargets"), "its own bucket is empty");
        assert!(admit("DescribeTargetHealth"));
        assert!(!admit("DescribeTargetHealth"), "the account's bucket is empty");
        assert!(throttle.admit("ecs", "ListTasks", 1.0));
    }

    #[test]
    fn every_action_of_the_table_has_a_rate() {
        let limits = Limits::of_aws().expect("the table");
        assert!(
            limits
                .buckets
                .values()
                .all(|size| size.burst >= 1.0 && size.per_second > 0.0)
        );
    }
}
