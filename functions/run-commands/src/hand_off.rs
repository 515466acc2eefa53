//! Handles one batch: finds the groups with a stop script, checks whether its moment has come, sends it, follows it.

use std::collections::{BTreeSet, HashMap};

use aws_sdk_ssm::config::retry::RetryConfig;
use aws_types::SdkConfig;
use jiff::Timestamp;
use spot_handoff::autoscaling::groups::{self, Groups};
use spot_handoff::elb::health;
use spot_handoff::lambda::Function;
use spot_handoff::notice::{InstanceId, Notice, Signal, Step};
use spot_handoff::report::plan::Results;
use spot_handoff::report::{ActionResult, Report};
use spot_handoff::runtime::aws::{self, CallCounter, CallError, RetryBusyGroups};
use spot_handoff::runtime::config::{ConfigError, Env};
use spot_handoff::runtime::invocation::{Invocation, together};
use spot_handoff::state::Table;

use crate::config::Config;
use crate::effects::{self, Clients};
use crate::facts::{self, Facts};
use crate::plan::{self, Action, Ended, NOT_SENT, Plan, Wanted};

/// The function, with what it keeps between invocations.
pub struct RunCommands {
    config: Config,
    autoscaling: aws_sdk_autoscaling::Client,
    elb: aws_sdk_elasticloadbalancingv2::Client,
    ssm: aws_sdk_ssm::Client,
    clients: Clients,
}

/// What each notice asks for.
type Asked = Vec<Result<Wanted, Box<Plan>>>;

impl Function for RunCommands {
    const NAME: &'static str = "run-commands";
    /// Few groups have a stop script.
    const IS_QUIET: bool = true;

    fn new(env: &Env, sdk: &SdkConfig, counter: CallCounter) -> Result<Self, ConfigError> {
        let autoscaling = aws_sdk_autoscaling::config::Builder::from(sdk)
            .retry_partition(aws::retry_partition())
            .interceptor(counter.clone())
            .retry_classifier(RetryBusyGroups)
            .build();
        let elb = aws_sdk_elasticloadbalancingv2::config::Builder::from(sdk)
            .retry_partition(aws::retry_partition())
            .interceptor(counter.clone())
            .build();
        let ssm = aws_sdk_ssm::config::Builder::from(sdk)
            .retry_partition(aws::retry_partition())
            .interceptor(counter.clone());
        let ssm_once = ssm.clone().retry_config(RetryConfig::disabled()).build();
        let sqs = aws_sdk_sqs::config::Builder::from(sdk)
            .retry_partition(aws::retry_partition())
            .interceptor(counter.clone())
            .build();
        let config = Config::read(env)?;
        Ok(Self {
            autoscaling: aws_sdk_autoscaling::Client::from_conf(autoscaling),
            elb: aws_sdk_elasticloadbalancingv2::Client::from_conf(elb),
            ssm: aws_sdk_ssm::Client::from_conf(ssm.build()),
            clients: Clients {
                ssm_once: aws_sdk_ssm::Client::from_conf(ssm_once),
                sqs: aws_sdk_sqs::Client::from_conf(sqs),
                table: Table::new(env, sdk, counter)?,
                own_queue_url: config.own_queue_url.clone(),
            },
            config,
        })
    }

    async fn hand_off(&self, notices: &[Notice], invocation: &Invocation) -> Vec<Report> {
        let groups = self.groups(notices, invocation).await;
        let asked: Asked = notices
            .iter()
            .map(|notice| plan::wanted(notice, &groups, &self.config))
            .collect();
        let facts = self.facts(notices, &asked, invocation).await;
        let now = invocation.clock.now();
        let planned_only = |asked: &Result<Wanted, _>| asked.as_ref().is_ok_and(|wanted| wanted.planned_only);
        let planned_only: Vec<bool> = asked.iter().map(planned_only).collect();
        let mut plans: Vec<Plan> = notices
            .iter()
            .zip(asked)
            .map(|(notice, asked)| match (&notice.signal, asked) {
                (Signal::FollowUp(follow_up), _) if is_awaiting(notice) => {
                    plan::ended(notice, follow_up, &facts, now)
                }
                (_, Ok(wanted)) => plan::plan(notice, &wanted, &facts, now),
                (_, Err(plan)) => *plan,
            })
            .collect();
        let results = if invocation.dry_run {
            Results::new()
        } else {
            let all = notices.iter().zip(&plans).zip(&planned_only);
            let acted_on = all.filter(|(_, planned_only)| !**planned_only);
            let (notices, plans): (Vec<Notice>, Vec<Plan>) = acted_on
                .map(|((notice, plan), _)| (notice.clone(), plan.clone()))
                .unzip();
            effects::carry_out(&self.clients, invocation, &notices, &plans, &facts).await
        };
        for plan in &mut plans {
            tell_ends(plan, &results);
        }
        notices
            .iter()
            .zip(plans.iter().zip(planned_only))
            .map(|(notice, (plan, planned_only))| {
                let report = invocation.with(planned_only).report(notice, plan, &results);
                report.in_pool(groups.pool_of(&notice.instance))
            })
            .collect()
    }
}

fn is_awaiting(notice: &Notice) -> bool {
    matches!(&notice.signal, Signal::FollowUp(follow_up) if matches!(follow_up.step, Step::AwaitScript { .. }))
}

/// Adds the scripts that have ended or will never run to the report.
fn tell_ends(plan: &mut Plan, results: &Results<Action>) {
    let mut lines = vec![];
    for action in &plan.actions {
        let Some(done) = results.get(action) else { continue };
        match action {
            Action::End(ended) if done.result != ActionResult::AlreadyDone => lines.push(ended.line()),
            Action::Run(command) if done.result == ActionResult::Lost => {
                let ended = Ended {
                    instance: command.instance.clone(),
                    document: command.document.clone(),
                    command: None,
                    status: NOT_SENT.to_owned(),
                    saved: false,
                    exit_code: None,
                    output: done.note.clone().unwrap_or_default(),
                };
                lines.push(ended.line());
            }
            Action::End(_) | Action::Run(_) | Action::Send { .. } => {}
        }
    }
    plan.scripts.extend(lines);
}

impl RunCommands {
    /// The groups that follow-ups and hooks name. For other notices, the group is looked up.
    async fn groups(&self, notices: &[Notice], invocation: &Invocation) -> Groups {
        let in_question = notices.iter().filter(|notice| !is_awaiting(notice));
        let (named, unnamed): (Vec<&Notice>, Vec<&Notice>) =
            in_question.partition(|notice| plan::named_group(notice).is_some());
        let ids: Vec<InstanceId> = unnamed.iter().map(|notice| notice.instance.clone()).collect();
        let names: BTreeSet<&str> = named
            .iter()
            .filter_map(|notice| plan::named_group(notice))
            .collect();
        let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
        groups::read(&self.autoscaling, invocation, &ids, &names).await
    }

    /// Reads what the plans need. Reads nothing if no notice asks for a script.
    async fn facts(&self, notices: &[Notice], asked: &Asked, invocation: &Invocation) -> Facts {
        let now = invocation.clock.now();
        let wanted: Vec<(&Notice, &Wanted)> = notices
            .iter()
            .zip(asked)
            .filter_map(|(notice, asked)| Some((notice, asked.as_ref().ok()?)))
            .collect();
        let awaiting: Vec<&Notice> = notices.iter().filter(|notice| is_awaiting(notice)).collect();
        let instances: BTreeSet<InstanceId> = wanted
            .iter()
            .map(|(notice, _)| *notice)
            .chain(awaiting.iter().copied())
            .map(|notice| notice.instance.clone())
            .collect();
        // If a script begins now, its targets do not matter.
        let waiting = wanted
            .iter()
            .filter(|(notice, wanted)| !plan::is_due(notice, wanted, now));
        let target_groups: BTreeSet<String> = waiting
            .flat_map(|(_, wanted)| wanted.target_groups.clone())
            .collect();
        let commands: BTreeSet<String> = awaiting.iter().filter_map(|notice| command(notice)).collect();
        let (health, items, runs) = tokio::join!(
            health::read(&self.elb, invocation, target_groups),
            facts::items(&self.clients.table, invocation, &instances),
            facts::runs(&self.ssm, invocation, commands),
        );
        for (target_group, error) in health
            .iter()
            .filter_map(|(arn, read)| Some((arn, read.as_ref().err()?)))
        {
            tracing::warn!("{target_group}: cannot see whether targets are out: {error}");
        }
        let mut facts = Facts {
            health,
            items,
            runs,
            ..Facts::default()
        };
        let beginning: Vec<(&Notice, &Wanted)> = wanted
            .into_iter()
            .filter(|(notice, wanted)| plan::begins(notice, wanted, &facts, now))
            .filter(|(notice, _)| !has_been_sent(notice, &facts, now))
            .collect();
        let names = beginning.iter().map(|(_, wanted)| wanted.document.clone());
        let (documents, sent_before) = tokio::join!(
            facts::documents(&self.ssm, invocation, names.collect()),
            self.sent_before(&beginning, &facts, now, invocation),
        );
        facts.documents = documents;
        facts.sent_before = sent_before;
        facts
    }

    /// Asks Systems Manager for commands that are not in the table: if the invocation that claimed a script has ended,
    /// or if the table does not answer.
    async fn sent_before(
        &self,
        beginning: &[(&Notice, &Wanted)],
        facts: &Facts,
        now: Timestamp,
        invocation: &Invocation,
    ) -> HashMap<InstanceId, Result<Option<String>, CallError>> {
        let in_doubt = beginning.iter().filter(|(notice, _)| match &facts.items {
            Ok(items) => items
                .get(&notice.instance)
                .is_some_and(|found| found.item.is_abandoned(now)),
            Err(_) => true,
        });
        let calls = in_doubt.map(|(notice, wanted)| async move {
            let (instance, since) = (&notice.instance, notice.time);
            let found = facts::sent_before(&self.ssm, invocation, instance, &wanted.document, since).await;
            (instance.clone(), found)
        });
        together(calls).await.into_iter().collect()
    }
}

/// Whether the table says that the script has been sent, or is being sent.
fn has_been_sent(notice: &Notice, facts: &Facts, now: Timestamp) -> bool {
    facts.items.as_ref().is_ok_and(|items| {
        items
            .get(&notice.instance)
            .is_some_and(|found| !found.item.is_abandoned(now))
    })
}

/// The command that a follow-up is about.
fn command(notice: &Notice) -> Option<String> {
    match &notice.signal {
        Signal::FollowUp(follow_up) => match &follow_up.step {
            Step::AwaitScript { command, .. } => Some(command.clone()),
            _ => None,
        },
        _ => None,
    }
}
