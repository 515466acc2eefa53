//! The AWS clients, and the clusters to look in.

use aws_sdk_autoscaling::config::retry::RetryConfig;
use aws_types::SdkConfig;
use spot_handoff::keeper::Keeper;
use spot_handoff::runtime::aws::{self, CallCounter, RetryBusyGroups};
use spot_handoff::runtime::clock::Clock;
use spot_handoff::runtime::config::{ConfigError, Env};
use spot_handoff::runtime::pace::{Pace, Rates};
use spot_handoff::state::Table;

/// The AWS clients, and the clusters to look in.
#[derive(Debug)]
pub struct Clients {
    /// Auto Scaling.
    pub autoscaling: aws_sdk_autoscaling::Client,
    /// The same without retries: for calls that must not be repeated without a look.
    pub autoscaling_once: aws_sdk_autoscaling::Client,
    /// Elastic Load Balancing.
    pub elb: aws_sdk_elasticloadbalancingv2::Client,
    /// ECS.
    pub ecs: aws_sdk_ecs::Client,
    /// SQS.
    pub sqs: aws_sdk_sqs::Client,
    /// The table.
    pub table: Table,
    /// Decides which targets stay.
    pub keeper: Keeper,
    /// The clusters to look in; `None` means all.
    pub clusters: Option<Vec<String>>,
}

impl Clients {
    /// Makes the clients.
    ///
    /// # Errors
    /// If an environment variable is wrong; the error names it.
    pub fn new(env: &Env, sdk: &SdkConfig, counter: CallCounter) -> Result<Self, ConfigError> {
        let clock = Clock::from_env(env)?;
        let of_ecs = Pace::new(Rates::ECS, clock);
        let of_elb = Pace::new(Rates::ELB, clock);
        let of_groups = Pace::new(Rates::AUTO_SCALING, clock);
        let autoscaling = aws_sdk_autoscaling::config::Builder::from(&of_groups.around(sdk))
            .retry_partition(aws::retry_partition())
            .interceptor(of_groups)
            .interceptor(counter.clone());
        let autoscaling_once = autoscaling.clone().retry_config(RetryConfig::disabled()).build();
        let autoscaling = autoscaling.retry_classifier(RetryBusyGroups).build();
        let elb = aws_sdk_elasticloadbalancingv2::config::Builder::from(&of_elb.around(sdk))
            .retry_partition(aws::retry_partition())
            .interceptor(of_elb)
            .interceptor(counter.clone())
            .build();
        let ecs = aws_sdk_ecs::config::Builder::from(&of_ecs.around(sdk))
            .retry_partition(aws::retry_partition())
            .interceptor(of_ecs)
            .interceptor(counter.clone())
            .build();
        let sqs = aws_sdk_sqs::config::Builder::from(sdk)
            .retry_partition(aws::retry_partition())
            .interceptor(counter.clone())
            .build();
        let elb = aws_sdk_elasticloadbalancingv2::Client::from_conf(elb);
        let table = Table::new(env, sdk, counter)?;
        Ok(Self {
            autoscaling: aws_sdk_autoscaling::Client::from_conf(autoscaling),
            autoscaling_once: aws_sdk_autoscaling::Client::from_conf(autoscaling_once),
            keeper: Keeper::new(elb.clone(), table.clone()),
            elb,
            ecs: aws_sdk_ecs::Client::from_conf(ecs),
            sqs: aws_sdk_sqs::Client::from_conf(sqs),
            table,
            clusters: env.clusters()?,
        })
    }
}
