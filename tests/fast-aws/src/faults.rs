//! The faults that a test orders. There are two kinds, both errors of AWS. The embedded AWS has more.

use serde::Deserialize;

use super::error::AwsError;

/// Faults in the order they were ordered.
#[derive(Default)]
pub(crate) struct Faults(Vec<Fault>);

#[derive(Deserialize)]
struct Fault {
    service: Option<String>,
    action: Option<String>,
    caller: Option<String>,
    times: Option<u64>,
    fault: Kind,
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Kind {
    Throttle,
    Error { code: String, status: Option<u16> },
}

impl Faults {
    /// Adds the faults of an order.
    pub(crate) fn order(&mut self, order: &[u8]) -> serde_json::Result<()> {
        self.0.extend(serde_json::from_slice::<Vec<Fault>>(order)?);
        Ok(())
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// The fault that a call suffers: the first one that matches.
    pub(crate) fn strike(&mut self, caller: &str, service: &str, action: &str) -> Option<AwsError> {
        let short = if service == "elasticloadbalancing" {
            "elbv2"
        } else {
            service
        };
        let fits = |wanted: &Option<String>, is: &str| wanted.as_deref().is_none_or(|wanted| wanted == is);
        let fault = self.0.iter_mut().find(|fault| {
            fault.times != Some(0)
                && (fits(&fault.service, service) || fits(&fault.service, short))
                && fits(&fault.action, action)
                && fits(&fault.caller, caller)
        })?;
        fault.times = fault.times.map(|times| times - 1);
        Some(match &fault.fault {
            Kind::Throttle => AwsError::throttled(service),
            Kind::Error { code, status } => {
                let message = format!("{code}, as ordered by the test");
                AwsError::new(code, message).with_status(status.unwrap_or(400))
            }
        })
    }
}
