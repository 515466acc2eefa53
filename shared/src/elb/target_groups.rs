//! The kind of load balancer of a target group, and its deregistration delay. Both change rarely, so they are
//! remembered between invocations.

use std::collections::{BTreeSet, HashMap};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use aws_sdk_elasticloadbalancingv2::Client;
use aws_sdk_elasticloadbalancingv2::types::{ProtocolEnum, TargetGroup};
use jiff::SignedDuration;

use crate::elb::holding::Balancer;
use crate::runtime::invocation::{Invocation, together};

const KEPT_FOR: Duration = Duration::from_secs(600);
/// No more than the other calls of the service take. The API documents no limit.
const DESCRIBED_PER_CALL: usize = 20;

/// The kind of load balancer of each target group, by ARN.
#[derive(Debug, Default)]
pub struct Balancers(Remembered<Balancer>);

impl Balancers {
    /// The kind of load balancer of each of these. One that cannot be read is left out, and logged. It then counts as
    /// [`Balancer::Application`], for which the most is held.
    pub async fn of<'a>(
        &self,
        client: &Client,
        invocation: &Invocation,
        arns: impl IntoIterator<Item = &'a String>,
    ) -> HashMap<String, Balancer> {
        let wanted: BTreeSet<&String> = arns.into_iter().collect();
        let missing = self.0.missing(&wanted);
        let answers = together(
            missing
                .chunks(DESCRIBED_PER_CALL)
                .map(|chunk| describe(client, invocation, chunk)),
        )
        .await;
        let read = answers.into_iter().flatten();
        self.0.learn(read.filter_map(|target_group| {
            let balancer = balancer_of(&target_group);
            Some((target_group.target_group_arn?, balancer))
        }));
        self.0.of(&wanted)
    }
}

/// A single deleted target group fails the call for all of them. Then each is asked for by itself.
async fn describe(client: &Client, invocation: &Invocation, arns: &[&String]) -> Vec<TargetGroup> {
    let invocation = invocation.briefly();
    let asking = |arns: &[&String]| {
        let arns = arns.iter().map(ToString::to_string).collect();
        let asking = client.describe_target_groups().set_target_group_arns(Some(arns));
        invocation.call("DescribeTargetGroups", asking.send())
    };
    let told = match asking(arns).await {
        Err(error) if super::health::is_gone(&error) && arns.len() > 1 => {
            let each = together(arns.iter().map(|arn| asking(std::slice::from_ref(arn)))).await;
            each.into_iter().collect()
        }
        answer => vec![answer],
    };
    let known = |answer| match answer {
        Ok(answer) => Some(answer),
        Err(error) => {
            tracing::warn!("cannot tell who sends requests to the target groups: {error}");
            None
        }
    };
    let known = told.into_iter().filter_map(known);
    known
        .flat_map(
            |answer: aws_sdk_elasticloadbalancingv2::operation::describe_target_groups::DescribeTargetGroupsOutput| {
                answer.target_groups.unwrap_or_default()
            },
        )
        .collect()
}

/// The protocol tells the kind of load balancer. Whether one uses the target group at all shows in the states of its
/// targets: `unused` if not.
/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateTargetGroup.html>
fn balancer_of(target_group: &TargetGroup) -> Balancer {
    match &target_group.protocol {
        Some(ProtocolEnum::Http | ProtocolEnum::Https) | None => Balancer::Application,
        Some(ProtocolEnum::Geneve) => Balancer::Gateway,
        Some(_) => Balancer::Network,
    }
}

/// Deregistration delays of target groups, by ARN.
#[derive(Debug, Default)]
pub struct Delays(Remembered<SignedDuration>);

impl Delays {
    /// The deregistration delay of each of these, as far as it can be read; one call for each.
    pub async fn of<'a>(
        &self,
        client: &Client,
        invocation: &Invocation,
        arns: impl IntoIterator<Item = &'a String>,
    ) -> HashMap<String, SignedDuration> {
        let wanted: BTreeSet<&String> = arns.into_iter().collect();
        let missing = self.0.missing(&wanted);
        let read = together(missing.iter().map(|arn| delay(client, invocation, arn))).await;
        let read = missing.into_iter().cloned().zip(read);
        self.0.learn(read.filter_map(|(arn, delay)| Some((arn, delay?))));
        self.0.of(&wanted)
    }
}

async fn delay(client: &Client, invocation: &Invocation, arn: &str) -> Option<SignedDuration> {
    let asking = client
        .describe_target_group_attributes()
        .target_group_arn(arn)
        .send();
    let answer = invocation
        .briefly()
        .call("DescribeTargetGroupAttributes", asking)
        .await;
    let attributes = match answer {
        Ok(answer) => answer.attributes.unwrap_or_default(),
        Err(error) => {
            tracing::warn!("cannot tell the deregistration delay of {arn}: {error}");
            return None;
        }
    };
    let delay = attributes
        .into_iter()
        .find(|attribute| attribute.key() == Some("deregistration_delay.timeout_seconds"))?;
    delay.value?.parse().ok().map(SignedDuration::from_secs)
}

#[derive(Debug)]
struct Remembered<T>(Mutex<HashMap<String, (T, Instant)>>);

impl<T> Default for Remembered<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Copy> Remembered<T> {
    fn get(&self, arn: &str) -> Option<T> {
        let known = self.0.lock().ok()?;
        let (value, at) = known.get(arn)?;
        (at.elapsed() < KEPT_FOR).then_some(*value)
    }

    fn missing<'a>(&self, wanted: &BTreeSet<&'a String>) -> Vec<&'a String> {
        let missing = wanted.iter().filter(|arn| self.get(arn).is_none());
        missing.copied().collect()
    }

    fn learn(&self, read: impl Iterator<Item = (String, T)>) {
        if let Ok(mut known) = self.0.lock() {
            known.extend(read.map(|(arn, value)| (arn, (value, Instant::now()))));
        }
    }

    fn of(&self, wanted: &BTreeSet<&String>) -> HashMap<String, T> {
        let of = |arn: &&String| Some((arn.to_string(), self.get(arn)?));
        wanted.iter().filter_map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_protocol_tells_the_kind_of_load_balancer() {
        for (protocol, expected) in [
            (ProtocolEnum::Http, Balancer::Application),
            (ProtocolEnum::Https, Balancer::Application),
            (ProtocolEnum::Tcp, Balancer::Network),
            (ProtocolEnum::TcpUdp, Balancer::Network),
            (ProtocolEnum::Tls, Balancer::Network),
            (ProtocolEnum::Geneve, Balancer::Gateway),
        ] {
            let target_group = TargetGroup::builder().protocol(protocol.clone()).build();
            assert_eq!(balancer_of(&target_group), expected, "{protocol}");
        }
    }
}
