//! `cargo handoff replay --stack`: a sample or a recorded event, straight to the functions of a deployed stack.

use anyhow::{Result, anyhow};
use aws_sdk_lambda::Client;
use aws_sdk_lambda::primitives::Blob;
use futures::future::try_join_all;
use serde_json::Value;
use spot_handoff::lambda::{FUNCTIONS, RUNNER};
use spot_handoff::notice::{DRILL_SOURCE, FOLLOW_UP_SOURCE};
use spot_handoff::report::Report;
use spot_handoff::runtime::clock::Clock;
use spot_handoff::runtime::config::Env;

use super::output::Output;
use super::retarget::{Retarget, StandIn};
use super::sample::Sample;
use super::{Arguments, Format};
use crate::account;
use crate::commands::signals::Signal;
use crate::refusal::cannot;
use crate::stack::{Function, Stack};
use crate::timeline::story::Story;
use crate::timeline::{Line, Word};
use crate::usage::UsageError;

/// The result of an invocation.
struct Answer {
    reports: Vec<Report>,
    /// The error, if it failed as a whole.
    failure: Option<Line>,
}

/// Invokes the functions that the sample is for. Returns whether all went well.
pub async fn run(arguments: &Arguments, name: &str, sample: Sample) -> Result<bool> {
    let clock = Clock::from_env(&Env::of_process())?;
    let config = account::sdk_config(&arguments.deployed.account).await?;
    let stack = Stack::find(&config, name).await?;
    let now = clock.now();

    let stand_ins = match &arguments.instance {
        Some(id) => vec![StandIn {
            id: id.to_string(),
            zone: None,
        }],
        None => vec![],
    };
    let mut retarget = Retarget::new(stand_ins, (!arguments.keep_time).then_some(now));
    let bodies = match sample.retarget(&mut retarget) {
        Sample::Event(event) => vec![event.to_string()],
        Sample::Batch(bodies) => bodies,
    };
    let output = Output::new(arguments.format);
    let how = if arguments.deployed.for_real {
        "for real"
    } else {
        "planned only; --for-real acts"
    };
    output.note(&stack.place);
    output.note(&format!("invoking the functions of {name} ({how})"));
    output.text("");

    let lambda = Client::new(&config);
    let bodies: Vec<(String, &[&str])> = bodies
        .iter()
        .map(|body| prepare(body, arguments.deployed.for_real))
        .collect();
    let calls = bodies.iter().flat_map(|(body, names)| {
        let functions = stack
            .functions
            .iter()
            // run-commands reports nothing if no stop script is asked for.
            .filter(|function| names.contains(&function.name.as_str()) || function.name == RUNNER);
        functions.map(|function| invoke(&lambda, function, body, clock))
    });
    let answers = try_join_all(calls).await?;

    let mut failures: Vec<Line> = answers
        .iter()
        .filter_map(|answer| answer.failure.clone())
        .collect();
    failures.sort_by_key(|line| line.at);
    let reports: Vec<Report> = answers.into_iter().flat_map(|answer| answer.reports).collect();
    if arguments.format == Format::Json {
        reports.iter().for_each(|report| output.report(report));
    }
    let stories = Story::of(reports);
    for story in &stories {
        output.text(&format!("{}\n", story.render(clock.now())));
    }
    for line in &failures {
        output.failure(line, now);
    }
    if stories.is_empty() && failures.is_empty() {
        output.text("the functions have nothing to report: the event is not for them");
    }
    Ok(failures.is_empty() && stories.iter().all(|story| story.verdict(clock.now()).is_good()))
}

/// The body as a drill, and the functions that it is for.
fn prepare(body: &str, for_real: bool) -> (String, &'static [&'static str]) {
    let Ok(mut event) = serde_json::from_str::<Value>(body) else {
        return (Value::from(body).to_string(), &FUNCTIONS);
    };
    if !event["detail"].is_object() {
        return (event.to_string(), &FUNCTIONS);
    }
    event["detail"]["for-real"] = for_real.into();
    if event["source"] == FOLLOW_UP_SOURCE {
        event["detail"]["drill"] = true.into();
    } else {
        event["source"] = DRILL_SOURCE.into();
    }
    let signal = event["detail-type"].as_str().and_then(Signal::of);
    (
        event.to_string(),
        signal.map_or(&FUNCTIONS[..], Signal::functions),
    )
}

async fn invoke(client: &Client, function: &Function, body: &str, clock: Clock) -> Result<Answer> {
    let request = client
        .invoke()
        .function_name(&function.deployed)
        .payload(Blob::new(body));
    let answer = request.send().await.map_err(|error| {
        let missing = error
            .as_service_error()
            .is_some_and(|error| error.is_resource_not_found_exception());
        if missing {
            anyhow!(UsageError::new(format!(
                "there is no function {}, although the stack names it: deploy the stack again",
                function.deployed
            )))
        } else {
            cannot(
                format!("invoke {}", function.deployed),
                "lambda:InvokeFunction",
                &error,
            )
        }
    })?;
    let payload = answer.payload().map(Blob::as_ref).unwrap_or_default();
    let told: Value = serde_json::from_slice(payload).unwrap_or_default();
    let failure = answer.function_error().map(|kind| {
        let message = told["errorMessage"].as_str().unwrap_or(kind);
        Line::new(clock.now(), &function.name, Word::Failed, message)
    });
    let reports = told["reports"].as_array().into_iter().flatten();
    let reports = reports.filter_map(|report| Report::from_line(&report.to_string()));
    Ok(Answer {
        reports: reports.collect(),
        failure,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_replayed_is_a_drill_and_goes_where_the_rules_would_send_it() {
        let event = |source: &str, kind: &str| {
            json!({"source": source, "detail-type": kind, "detail": {"instance-id": "i"}}).to_string()
        };
        let rebalance = event("aws.ec2", "EC2 Instance Rebalance Recommendation");
        let (body, functions) = prepare(&rebalance, false);
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(
            (&body["source"], &body["detail"]["for-real"]),
            (&json!(DRILL_SOURCE), &json!(false))
        );
        assert_eq!(functions, ["replace-capacity"]);

        let (body, functions) = prepare(&event(FOLLOW_UP_SOURCE, "Spot Handoff Follow-up"), true);
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["source"], FOLLOW_UP_SOURCE);
        assert_eq!(
            body["detail"],
            json!({"instance-id": "i", "drill": true, "for-real": true})
        );
        assert_eq!(functions, FUNCTIONS);

        assert_eq!(prepare("no JSON", false).0, r#""no JSON""#);
    }
}
