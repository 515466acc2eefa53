//! Handles one batch: reads the reports, makes the messages, sends them.

use std::collections::HashMap;

use aws_types::SdkConfig;
use jiff::Timestamp;
use spot_handoff::lambda::Function;
use spot_handoff::notice::{Advice, InstanceId, Notice};
use spot_handoff::report::Report;
use spot_handoff::report::plan::Results;
use spot_handoff::runtime::aws::{CallCounter, CallError};
use spot_handoff::runtime::config::{ConfigError, Env};
use spot_handoff::runtime::invocation::Invocation;
use spot_handoff::state::Table;

use crate::effects::Outlets;
use crate::facts::{self, RUN_COMMANDS, Reporter, Reports};
use crate::plan::{self, Action, Announcements, Plan};

/// The function, with what it keeps between invocations.
pub struct AnnounceHandOffs {
    announcements: Announcements,
    reporters: Vec<Reporter>,
    table: Table,
    outlets: Outlets,
}

impl Function for AnnounceHandOffs {
    const NAME: &'static str = plan::OWN_NAME;

    fn new(env: &Env, sdk: &SdkConfig, counter: CallCounter) -> Result<Self, ConfigError> {
        let reporter = |function, variable| {
            Ok(Reporter {
                function,
                log_group: env.required(variable)?,
            })
        };
        let table = Table::new(env, sdk, counter.clone())?;
        let sqs = aws_sdk_sqs::config::Builder::from(sdk)
            .interceptor(counter.clone())
            .build();
        let sns = aws_sdk_sns::config::Builder::from(sdk)
            .interceptor(counter.clone())
            .build();
        let eventbridge = aws_sdk_eventbridge::config::Builder::from(sdk)
            .interceptor(counter)
            .build();
        Ok(Self {
            announcements: env.choice("ANNOUNCEMENTS")?,
            reporters: vec![
                reporter("deregister-targets", "DEREGISTER_TARGETS_LOG_GROUP")?,
                reporter("drain-tasks", "DRAIN_TASKS_LOG_GROUP")?,
                reporter("replace-capacity", "REPLACE_CAPACITY_LOG_GROUP")?,
                reporter(RUN_COMMANDS, "RUN_COMMANDS_LOG_GROUP")?,
            ],
            table: table.clone(),
            outlets: Outlets {
                topic_arn: env.required("TOPIC_ARN")?,
                own_queue_url: env.required("ANNOUNCE_HAND_OFFS_QUEUE_URL")?,
                table,
                sqs: aws_sdk_sqs::Client::from_conf(sqs),
                sns: aws_sdk_sns::Client::from_conf(sns),
                eventbridge: aws_sdk_eventbridge::Client::from_conf(eventbridge),
            },
        })
    }

    /// An announcement is right at any age.
    fn is_stale(_: &Notice, _: Timestamp) -> bool {
        false
    }

    /// If an event comes twice, it is announced twice; SNS itself may do that as well.
    async fn tell(&self, advice: &Advice, invocation: &Invocation) -> Result<(), CallError> {
        match self.announcements {
            Announcements::None => Ok(()),
            Announcements::All | Announcements::Failures => self.outlets.advise(invocation, advice).await,
        }
    }

    async fn hand_off(&self, notices: &[Notice], invocation: &Invocation) -> Vec<Report> {
        let announced: Vec<&Notice> = notices
            .iter()
            .filter(|notice| plan::is_announced(notice).is_ok())
            .collect();
        let found = facts::reports(&self.table, invocation, &announced).await;
        let found: HashMap<(&str, &InstanceId), Reports> = announced
            .iter()
            .map(|notice| (notice.event_id.as_str(), &notice.instance))
            .zip(found)
            .collect();
        let now = invocation.clock.now();
        let plans: Vec<Plan> = notices
            .iter()
            .map(|notice| {
                let reports = found.get(&(notice.event_id.as_str(), &notice.instance));
                plan::plan(notice, &self.reporters, reports, self.announcements, now)
            })
            .collect();
        // In a dry run the other functions change nothing. This one announces that on purpose.
        let mut invocation = *invocation;
        invocation.dry_run = false;
        let mut asked: Vec<(&Notice, &Action)> = vec![];
        for (notice, plan) in notices.iter().zip(&plans) {
            asked.extend(plan.actions.iter().map(|action| (notice, action)));
        }
        let results = if asked.is_empty() {
            Results::new()
        } else {
            self.outlets.tell(&invocation, &asked).await
        };
        let report =
            |(notice, plan): (&Notice, &Plan)| invocation.report(notice, plan, &results).without_deadline();
        notices.iter().zip(&plans).map(report).collect()
    }
}
