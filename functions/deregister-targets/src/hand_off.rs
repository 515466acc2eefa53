//! The story of one batch: facts, plan and effects, once for the groups' targets and once for the services' tasks.

use aws_types::SdkConfig;
use spot_handoff::autoscaling::groups::{self, Groups};
use spot_handoff::ecs::container_instances::{self, ContainerInstances};
use spot_handoff::lambda::Function;
use spot_handoff::notice::{InstanceId, Notice};
use spot_handoff::report::Report;
use spot_handoff::report::plan::Results;
use spot_handoff::runtime::aws::{self, CallCounter, RetryBusyGroups};
use spot_handoff::runtime::config::{ConfigError, Env, Scope};
use spot_handoff::runtime::invocation::Invocation;

use crate::effects;
use crate::facts::{self, DelayCache};
use crate::plan::{self, Action, Plan};

/// In a storm of more notices than this nobody needs advice on settings, and the calls are needed for other things.
const NOTICES_WITH_ADVICE: usize = 10;

/// The function, with what it keeps between invocations.
pub struct DeregisterTargets {
    scope: Scope,
    clusters: Option<Vec<String>>,
    autoscaling: aws_sdk_autoscaling::Client,
    ecs: aws_sdk_ecs::Client,
    elb: aws_sdk_elasticloadbalancingv2::Client,
    delays: DelayCache,
}

/// Plans and their results, one plan for each notice.
type Wave = (Vec<Plan>, Results<Action>);

impl Function for DeregisterTargets {
    const NAME: &'static str = "deregister-targets";

    fn new(env: &Env, sdk: &SdkConfig, counter: CallCounter) -> Result<Self, ConfigError> {
        let autoscaling = aws_sdk_autoscaling::config::Builder::from(sdk)
            .retry_partition(aws::retry_partition())
            .interceptor(counter.clone())
            .retry_classifier(RetryBusyGroups)
            .build();
        let ecs = aws_sdk_ecs::config::Builder::from(sdk)
            .retry_partition(aws::retry_partition())
            .interceptor(counter.clone())
            .build();
        let elb = aws_sdk_elasticloadbalancingv2::config::Builder::from(sdk)
            .retry_partition(aws::retry_partition())
            .interceptor(counter)
            .build();
        Ok(Self {
            scope: env.scope()?,
            clusters: env.clusters()?,
            autoscaling: aws_sdk_autoscaling::Client::from_conf(autoscaling),
            ecs: aws_sdk_ecs::Client::from_conf(ecs),
            elb: aws_sdk_elasticloadbalancingv2::Client::from_conf(elb),
            delays: DelayCache::default(),
        })
    }

    async fn hand_off(&self, notices: &[Notice], invocation: &Invocation) -> Vec<Report> {
        let ids: Vec<InstanceId> = notices.iter().map(|notice| notice.instance.clone()).collect();
        let groups = groups::read(&self.autoscaling, invocation, &ids, &[]);
        let container_instances =
            container_instances::find(&self.ecs, invocation, self.clusters.as_deref(), &ids);
        // Both readings are used by both waves; each wave starts as soon as it has what it needs.
        let groups = async_once(groups);
        let container_instances = async_once(container_instances);
        let (of_groups, of_services, of_nobody) = tokio::join!(
            async {
                self.group_targets(notices, &groups.clone().await, invocation)
                    .await
            },
            async {
                let (groups, found) = tokio::join!(groups.clone(), container_instances.clone());
                self.service_targets(notices, &groups, &found, invocation).await
            },
            async {
                let (groups, found) = tokio::join!(groups.clone(), container_instances.clone());
                self.targets_of_nobody(notices, &groups, &found, invocation).await
            },
        );
        let mut plans: Vec<Plan> = notices.iter().map(|_| Plan::default()).collect();
        let mut results = Results::new();
        for (wave, done) in [of_groups, of_services, of_nobody] {
            for (plan, more) in plans.iter_mut().zip(wave) {
                plan::merge(plan, more);
            }
            results.extend(done);
        }
        notices
            .iter()
            .zip(&plans)
            .map(|(notice, plan)| invocation.report(notice, plan, &results))
            .collect()
    }
}

/// A reading that several waves wait for.
fn async_once<T: Clone>(
    reading: impl Future<Output = T>,
) -> futures::future::Shared<std::pin::Pin<Box<impl Future<Output = T>>>> {
    futures::FutureExt::shared(Box::pin(reading))
}

impl DeregisterTargets {
    /// Targets in the target groups that are attached to the instances' Auto Scaling groups.
    async fn group_targets(&self, notices: &[Notice], groups: &Groups, invocation: &Invocation) -> Wave {
        let health = facts::target_health(&self.elb, invocation, groups.target_groups()).await;
        let plans = notices
            .iter()
            .map(|notice| {
                plan::for_group_targets(notice, &groups.of_instance(&notice.instance), self.scope, &health)
            })
            .collect();
        self.carry_out(plans, invocation).await
    }

    /// Targets of the ECS services whose tasks run on the instances.
    async fn service_targets(
        &self,
        notices: &[Notice],
        groups: &Groups,
        found: &ContainerInstances,
        invocation: &Invocation,
    ) -> Wave {
        let in_scope = |notice: &&Notice| {
            plan::moves_at_once(notice)
                && plan::in_scope(notice, &groups.of_instance(&notice.instance), self.scope)
        };
        let ours: Vec<&Notice> = notices.iter().filter(in_scope).collect();
        let on_ours: Vec<_> = ours
            .iter()
            .flat_map(|notice| found.of_instance(&notice.instance))
            .collect();
        let endpoints = facts::task_endpoints(&self.ecs, invocation, &on_ours, found.cluster_sizes()).await;
        let health = facts::target_health(&self.elb, invocation, endpoints.target_groups()).await;
        let plans = notices
            .iter()
            .map(|notice| {
                if in_scope(&notice) {
                    plan::for_service_targets(notice, found, &endpoints, &health)
                } else {
                    Plan::default()
                }
            })
            .collect();
        self.carry_out(plans, invocation).await
    }

    /// Targets of instances that are in no group and no cluster: they may have been registered by hand, in any target
    /// group, and only looking at all of them tells. Nothing is read where there is no such instance.
    async fn targets_of_nobody(
        &self,
        notices: &[Notice],
        groups: &Groups,
        found: &ContainerInstances,
        invocation: &Invocation,
    ) -> Wave {
        let of_nobody = |notice: &Notice| {
            plan::belongs_to_nobody(notice, &groups.of_instance(&notice.instance), found, self.scope)
        };
        if !notices.iter().any(of_nobody) {
            return (vec![], Results::new());
        }
        let health = match facts::all_target_groups(&self.elb, invocation).await {
            Ok(arns) => Ok(facts::target_health(&self.elb, invocation, arns).await),
            Err(error) => Err(error),
        };
        let plans = notices
            .iter()
            .map(|notice| {
                if of_nobody(notice) {
                    plan::for_targets_of_nobody(notice, &health)
                } else {
                    Plan::default()
                }
            })
            .collect();
        self.carry_out(plans, invocation).await
    }

    /// Deregisters what the plans name, and then looks whether the deregistration delay fits into the notice: not
    /// meanwhile, since both draw on the same request rate of the account.
    /// <https://docs.aws.amazon.com/elasticloadbalancing/latest/userguide/elb-api-throttling.html>
    async fn carry_out(&self, mut plans: Vec<Plan>, invocation: &Invocation) -> Wave {
        let actions = plan::distinct_actions(&plans);
        let results = if invocation.dry_run {
            Results::new()
        } else {
            effects::deregister(&self.elb, invocation, &actions).await
        };
        if plans.len() > NOTICES_WITH_ADVICE {
            return (plans, results);
        }
        let delays = self.delays.read(&self.elb, invocation, &actions).await;
        for plan in &mut plans {
            plan::warn_of_long_delays(plan, &delays);
        }
        (plans, results)
    }
}
