//! The story of one batch: read the reports, make the messages, send them.

use aws_types::SdkConfig;
use jiff::Timestamp;
use spot_handoff::lambda::Function;
use spot_handoff::notice::{Advice, Notice};
use spot_handoff::report::Report;
use spot_handoff::report::plan::Results;
use spot_handoff::runtime::aws::{CallCounter, CallError};
use spot_handoff::runtime::config::{ConfigError, Env};
use spot_handoff::runtime::invocation::Invocation;

use crate::effects::Outlets;
use crate::facts::{self, Reporter};
use crate::plan::{self, Announcements, Plan};

/// The function, with what it keeps between invocations.
pub struct AnnounceHandOffs {
    announcements: Announcements,
    reporters: Vec<Reporter>,
    own: Reporter,
    logs: aws_sdk_cloudwatchlogs::Client,
    outlets: Outlets,
}

impl Function for AnnounceHandOffs {
    const NAME: &'static str = "announce-hand-offs";

    fn new(env: &Env, sdk: &SdkConfig, counter: CallCounter) -> Result<Self, ConfigError> {
        let reporter = |function, variable| {
            Ok(Reporter {
                function,
                log_group: env.required(variable)?,
            })
        };
        let logs = aws_sdk_cloudwatchlogs::config::Builder::from(sdk)
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
            ],
            // Lambda itself tells a function where its output goes.
            own: reporter(Self::NAME, "AWS_LAMBDA_LOG_GROUP_NAME")?,
            logs: aws_sdk_cloudwatchlogs::Client::from_conf(logs),
            outlets: Outlets {
                topic_arn: env.required("TOPIC_ARN")?,
                sns: aws_sdk_sns::Client::from_conf(sns),
                eventbridge: aws_sdk_eventbridge::Client::from_conf(eventbridge),
            },
        })
    }

    /// Telling what was is right at any age.
    fn is_stale(_: &Notice, _: Timestamp) -> bool {
        false
    }

    /// An event that comes twice is told twice, as SNS itself may do.
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
        let reporters = self.reporters.iter().chain([&self.own]);
        let reports = facts::reports(&self.logs, invocation, reporters, &announced).await;
        let plans: Vec<Plan> = notices
            .iter()
            .map(|notice| plan::plan(notice, &self.reporters, &self.own, &reports, self.announcements))
            .collect();
        // In a dry run the others change nothing; telling about it is the purpose of it.
        let mut invocation = *invocation;
        invocation.dry_run = false;
        let actions: Vec<_> = plans.iter().flat_map(|plan| plan.actions.clone()).collect();
        let results = if actions.is_empty() {
            Results::new()
        } else {
            self.outlets.tell(&invocation, &actions).await
        };
        let report =
            |(notice, plan): (&Notice, &Plan)| invocation.report(notice, plan, &results).without_deadline();
        notices.iter().zip(&plans).map(report).collect()
    }
}
