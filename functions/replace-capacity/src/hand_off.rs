//! The story of one batch: facts, plan, effects.

use aws_types::SdkConfig;
use spot_handoff::lambda::Function;
use spot_handoff::notice::Notice;
use spot_handoff::report::Report;
use spot_handoff::report::plan::Results;
use spot_handoff::runtime::aws::{self, CallCounter, RetryBusyGroups};
use spot_handoff::runtime::config::{ConfigError, Env};
use spot_handoff::runtime::invocation::Invocation;

use crate::config::Config;
use crate::effects::{self, Aws};
use crate::{facts, plan};

/// The function, with what it keeps between invocations.
pub struct ReplaceCapacity {
    config: Config,
    autoscaling: aws_sdk_autoscaling::Client,
    impatient_autoscaling: aws_sdk_autoscaling::Client,
    elb: aws_sdk_elasticloadbalancingv2::Client,
    sqs: aws_sdk_sqs::Client,
}

impl Function for ReplaceCapacity {
    const NAME: &'static str = "replace-capacity";

    fn new(env: &Env, sdk: &SdkConfig, counter: CallCounter) -> Result<Self, ConfigError> {
        let autoscaling = aws_sdk_autoscaling::config::Builder::from(sdk)
            .retry_partition(aws::retry_partition())
            .interceptor(counter.clone());
        let impatient_autoscaling = autoscaling.clone().build();
        let autoscaling = autoscaling.retry_classifier(RetryBusyGroups).build();
        let elb = aws_sdk_elasticloadbalancingv2::config::Builder::from(sdk)
            .retry_partition(aws::retry_partition())
            .interceptor(counter.clone())
            .build();
        let sqs = aws_sdk_sqs::config::Builder::from(sdk)
            .retry_partition(aws::retry_partition())
            .interceptor(counter)
            .build();
        Ok(Self {
            config: Config::read(env)?,
            autoscaling: aws_sdk_autoscaling::Client::from_conf(autoscaling),
            impatient_autoscaling: aws_sdk_autoscaling::Client::from_conf(impatient_autoscaling),
            elb: aws_sdk_elasticloadbalancingv2::Client::from_conf(elb),
            sqs: aws_sdk_sqs::Client::from_conf(sqs),
        })
    }

    async fn hand_off(&self, notices: &[Notice], invocation: &Invocation) -> Vec<Report> {
        let groups = facts::groups_of(&self.autoscaling, invocation, notices).await;
        let health = facts::health_of(&self.elb, invocation, notices, &groups).await;
        let plans = plan::plans(notices, &groups, &health, &self.config, invocation.clock.now());
        let results = if invocation.dry_run {
            Results::new()
        } else {
            let aws = Aws {
                autoscaling: &self.autoscaling,
                impatient_autoscaling: &self.impatient_autoscaling,
                sqs: &self.sqs,
                queues: &self.config.queues,
                invocation,
            };
            effects::carry_out(aws, notices, &plans).await
        };
        notices
            .iter()
            .zip(&plans)
            .map(|(notice, plan)| invocation.report(notice, plan, &results))
            .collect()
    }
}
