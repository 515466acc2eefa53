//! Alarms and dashboard of the template: about metrics that exist, with pages in the runbook.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use end_to_end::{GROUP, first_of, hand_off, still, warning};
use serde_json::Value;
use testbed::{Event, Options, Workspace};

/// The metrics of AWS that the template uses: <https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html>,
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html>.
const OF_AWS: [&str; 7] = [
    "AWS/Lambda Duration",
    "AWS/Lambda Errors",
    "AWS/Lambda Invocations",
    "AWS/Lambda Throttles",
    "AWS/SQS ApproximateNumberOfMessagesVisible",
    "AWS/SQS NumberOfEmptyReceives",
    "AWS/SQS NumberOfMessagesSent",
];

fn read(path: &str) -> Result<String> {
    let path = Workspace::locate()?.path(path);
    std::fs::read_to_string(&path).with_context(|| path.display().to_string())
}

/// What stands behind `key: ` in these lines.
fn value_of<'a>(lines: &[&'a str], key: &str) -> Option<&'a str> {
    lines
        .iter()
        .find_map(|line| line.trim_start().strip_prefix(key)?.strip_prefix(": "))
}

/// The alarms of the template, each as the lines of its resource.
fn alarms(template: &str) -> Vec<Vec<&str>> {
    let lines: Vec<&str> = template.lines().collect();
    let starts = |line: &&str| line.trim() == "Type: AWS::CloudWatch::Alarm";
    let from = lines.iter().enumerate().filter(|(_, line)| starts(line));
    from.map(|(index, _)| {
        let resource = lines[index..].iter().take_while(|line| !line.is_empty());
        resource.copied().collect()
    })
    .collect()
}

fn name<'a>(alarm: &[&'a str]) -> Option<&'a str> {
    value_of(alarm, "AlarmName")?.strip_prefix("!Sub ${NamePrefix}-")
}

/// The body of the dashboard as JSON, with a placeholder where CloudFormation fills something in.
fn dashboard(template: &str) -> Result<Value> {
    let (_, rest) = template
        .split_once("DashboardBody: !Sub\n        - |\n")
        .context("a body")?;
    let (body, _) = rest.split_once("\n        - ").context("its end")?;
    let mut json = String::new();
    let mut parts = body.split("${");
    json.push_str(parts.next().unwrap_or_default());
    for part in parts {
        json.push_str("filled-in");
        json.push_str(part.split_once('}').context("a closing brace")?.1);
    }
    Ok(serde_json::from_str(&json)?)
}

/// `namespace name` of every metric in a dashboard.
fn metrics_shown(dashboard: &Value) -> BTreeSet<String> {
    let widgets = dashboard["widgets"].as_array().into_iter().flatten();
    let metrics = widgets.flat_map(|widget| widget["properties"]["metrics"].as_array().into_iter().flatten());
    let named = metrics.filter_map(|metric| Some(format!("{} {}", metric[0].as_str()?, metric[1].as_str()?)));
    named.collect()
}

#[test]
fn every_alarm_has_a_page_in_the_runbook_and_says_where() -> Result<()> {
    let (template, runbook) = (read("template.yaml")?, read("docs/runbook.md")?);
    let alarms = alarms(&template);
    assert!(alarms.len() > 10, "{}", alarms.len());
    for alarm in &alarms {
        let name = name(alarm).context("an alarm has a name")?;
        assert!(
            alarm
                .iter()
                .any(|line| line.trim() == format!("What to do: docs/runbook.md#{name}")),
            "the description of {name} names its page"
        );
        assert!(
            runbook.contains(&format!("<a id=\"{name}\">")),
            "{name} has a page"
        );
        assert_eq!(
            value_of(alarm, "AlarmActions"),
            Some("[!If [OwnAlarmTopic, !Ref Alarms, !Ref AlarmTopicArn]]"),
            "{name} reaches the topic"
        );
    }
    for page in runbook.split("<a id=\"").skip(1) {
        let page = page.split('"').next().unwrap_or_default();
        assert!(
            alarms.iter().any(|alarm| name(alarm) == Some(page)),
            "{page} is an alarm of the template"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn alarms_and_dashboard_are_about_metrics_that_exist() -> Result<()> {
    let template = read("template.yaml")?;
    let mut used = metrics_shown(&dashboard(&template)?);
    assert!(used.len() > 10, "{used:?}");
    for alarm in alarms(&template) {
        let of = |key| value_of(&alarm, key).unwrap_or("nothing");
        used.insert(format!("{} {}", of("Namespace"), of("MetricName")));
    }
    // The namespace of the functions' metrics is the stack's prefix. Alarms refer to it, and CloudFormation fills it
    // into the dashboard.
    let of_stack = |name: &String| {
        let metric = ["!Ref NamePrefix ", "filled-in "]
            .into_iter()
            .find_map(|prefix| name.strip_prefix(prefix));
        metric.map_or_else(|| name.clone(), |metric| format!("spot-handoff {metric}"))
    };
    let used: BTreeSet<String> = used.iter().map(of_stack).collect();

    let bed = still(Options::default()).await?;
    let doomed = first_of(&bed.world.state().await?, GROUP)?;
    hand_off(&bed, &warning(&bed, &doomed)).await?;
    let mut exist: BTreeSet<String> = OF_AWS.map(str::to_owned).into();
    for entry in bed.journal().since(0) {
        let Event::Log(line) = &entry.event else { continue };
        for directive in line["_aws"]["CloudWatchMetrics"].as_array().into_iter().flatten() {
            assert_eq!(
                directive["Dimensions"],
                serde_json::json!([["Function"]]),
                "{line}"
            );
            let metrics = directive["Metrics"].as_array().into_iter().flatten();
            let named = metrics.filter_map(|metric| {
                Some(format!(
                    "{} {}",
                    directive["Namespace"].as_str()?,
                    metric["Name"].as_str()?
                ))
            });
            exist.extend(named);
        }
    }
    let missing: Vec<_> = used.difference(&exist).collect();
    assert!(
        missing.is_empty(),
        "nobody emits {missing:?}; there are {exist:?}"
    );
    Ok(())
}
