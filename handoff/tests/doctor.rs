//! The doctor on the embedded AWS: the sample fleet as it is, with problems added, and with permissions missing.

use std::collections::BTreeMap;
use std::process::Output;

use anyhow::{Context, Result};
use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::Credentials;
use aws_sdk_autoscaling::types::Tag;
use aws_sdk_elasticloadbalancingv2::types::TargetGroupAttribute;
use aws_types::region::Region;
use serde_json::{Value, json};
use testbed::{Clock, Options, Pace, World, WorldOptions, documentation};
use tokio::process::Command;

/// With the stack of the sandbox.
async fn world() -> Result<World> {
    world_with(Options::default().parameters).await
}

/// With a stack that has these parameters.
async fn world_with(parameters: BTreeMap<String, String>) -> Result<World> {
    World::start(WorldOptions {
        parameters,
        clock: Clock::real(),
        simulate: false,
        pace: Pace::Quick,
        seed: 0,
        variants: BTreeMap::new(),
        enforce_iam: false,
        storm: None,
    })
    .await
}

async fn doctor(world: &World, arguments: &[&str]) -> Result<Output> {
    let mut doctor = doctor_of_nobody(arguments);
    doctor
        .env("AWS_ENDPOINT_URL", world.url())
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", "doctor")
        .env("AWS_SECRET_ACCESS_KEY", "x");
    doctor.output().await.context("cannot run the doctor")
}

/// The doctor when nothing gives it an account: no environment variables, no files, no instance metadata.
fn doctor_of_nobody(arguments: &[&str]) -> Command {
    let mut doctor = Command::new(env!("CARGO_BIN_EXE_handoff"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("AWS_")) {
        doctor.env_remove(name);
    }
    doctor
        .env_remove("COLUMNS")
        .arg("doctor")
        .args(arguments)
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .env("AWS_EC2_METADATA_DISABLED", "true");
    doctor
}

fn text(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    format!("{}{stderr}", String::from_utf8_lossy(&output.stdout))
}

/// The rules that found something about a resource.
fn rules_about(report: &Value, resource: &str) -> Vec<String> {
    let findings = report["findings"].as_array().cloned().unwrap_or_default();
    let about = findings
        .iter()
        .filter(|finding| finding["resource"]["name"] == resource);
    about
        .filter_map(|finding| finding["rule"].as_str().map(str::to_owned))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sample_fleet_is_examined_and_nothing_is_changed() -> Result<()> {
    let world = world().await?;
    let before = serde_json::to_value(world.state().await?)?;
    let output = doctor(&world, &[]).await?;
    insta::assert_snapshot!("sample_fleet", text(&output));
    let of_one_group = text(&doctor(&world, &["--group", "inference"]).await?);
    let transcript = format!("```console\n$ cargo handoff doctor --group inference\n{of_one_group}```\n");
    documentation::part("docs/doctor.md", "transcript", &transcript)?;
    let report: Value = serde_json::from_slice(&doctor(&world, &["--format", "json"]).await?.stdout)?;
    let worst = report["findings"][0]["severity"]
        .as_str()
        .context("something is found")?;
    assert_eq!(
        output.status.code(),
        Some(if worst == "critical" { 4 } else { 3 })
    );
    assert_eq!(serde_json::to_value(world.state().await?)?, before);
    let reads = ["Describe", "List", "Scan"];
    for call in world
        .calls()
        .await?
        .iter()
        .filter(|call| call.caller.as_deref() == Some("doctor"))
    {
        assert!(
            reads.iter().any(|read| call.action.starts_with(read)),
            "{}",
            call.action
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sick_fleet_is_found_sick() -> Result<()> {
    let world = world().await?;
    make_sick(&world).await?;
    let output = doctor(&world, &["--format", "json"]).await?;
    assert_eq!(output.status.code(), Some(4), "{}", text(&output));
    let report: Value = serde_json::from_slice(&output.stdout)?;
    for (resource, rule) in [
        ("web", "process-suspended"),
        ("web", "no-headroom"),
        ("web", "hook-too-short"),
        ("hooked", "ignore-tag-false"),
        ("inference/classifier", "service-grace"),
        ("web/api", "drain-blocked"),
        ("inference", "deregistration-delay"),
    ] {
        assert!(
            rules_about(&report, resource).iter().any(|one| one == rule),
            "{rule} of {resource}: {report:#}"
        );
    }
    assert_eq!(report["not_read"], json!([]));

    let one = doctor(&world, &["--format", "json", "--group", "mixed"]).await?;
    let report: Value = serde_json::from_slice(&one.stdout)?;
    assert!(rules_about(&report, "web").is_empty() && rules_about(&report, "web/api").is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_deployed_parameters_count_unless_others_are_given() -> Result<()> {
    let deployed = [("DryRun", "true"), ("StandaloneTasks", "leave")];
    let world = world_with(
        deployed
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
    )
    .await?;
    let found = async |more: &[&str]| {
        let arguments = [&["--format", "json"], more].concat();
        let report: Value = serde_json::from_slice(&doctor(&world, &arguments).await?.stdout)?;
        let findings = report["findings"].as_array().cloned().unwrap_or_default();
        anyhow::Ok(["dry-run", "left-to-die"].map(|rule| findings.iter().any(|one| one["rule"] == rule)))
    };
    assert_eq!(found(&[]).await?, [true, true]);
    assert_eq!(found(&["--parameter", "DryRun=false"]).await?, [false, true]);
    let output = doctor(&world, &["--stack", "another"]).await?;
    let said = text(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("there is no stack another in us-east-1"), "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_whose_roles_are_not_named_is_found_with_the_roles_to_add() -> Result<()> {
    let world = world().await?;
    let found = async |roles: &str| {
        let parameter = format!("RerunRoles={roles}");
        let arguments = ["--format", "json", "--parameter", &parameter];
        let report: Value = serde_json::from_slice(&doctor(&world, &arguments).await?.stdout)?;
        let findings = report["findings"].as_array().cloned().unwrap_or_default();
        let of_rule = findings.into_iter().filter(|one| one["rule"] == "rerun-roles");
        let said = of_rule.map(|one| [one["what"].clone(), one["fix"].clone()]);
        anyhow::Ok(said.collect::<Vec<_>>())
    };
    let (agent, report) = (
        "arn:aws:iam::123456789012:role/ecs-tasks",
        "arn:aws:iam::123456789012:role/report",
    );
    let fix = format!("set RerunRoles={agent},{report} as in docs/runbook.md#only-report");
    let empty = "1 task tagged spot-handoff:rerun; RerunRoles is empty";
    assert_eq!(found("").await?, [[json!(empty), json!(fix)]]);
    let lacks = format!("1 task tagged spot-handoff:rerun; RerunRoles does not name {report}");
    assert_eq!(found(agent).await?, [[json!(lacks), json!(fix)]]);
    assert!(found(&format!("{agent},{report}")).await?.is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_permission_is_named_and_throttling_is_waited_out() -> Result<()> {
    let world = world().await?;
    let faults = json!([
        { "action": "DescribeLifecycleHooks",
          "fault": { "kind": "error", "code": "AccessDenied", "status": 403 } },
        { "action": "DescribeServices", "times": 2, "fault": { "kind": "throttle" } },
    ]);
    world.faults(&faults).await?;
    let output = doctor(&world, &["--fail-on", "critical", "--format", "json"]).await?;
    let report: Value = serde_json::from_slice(&output.stdout)?;
    let unread: Vec<&Value> = report["not_read"].as_array().into_iter().flatten().collect();
    assert!(
        !unread.is_empty() && unread.iter().all(|one| one["action"] == "DescribeLifecycleHooks"),
        "{unread:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_credentials_end_it_at_once() -> Result<()> {
    let world = world().await?;
    let expired = json!({ "kind": "error", "code": "ExpiredToken", "status": 403 });
    world
        .faults(&json!([{ "action": "DescribeStacks", "fault": expired }]))
        .await?;
    let output = doctor(&world, &[]).await?;
    let said = text(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("AWS refused DescribeStacks: ExpiredToken"),
        "{said}"
    );
    assert!(said.contains("sign in again (`aws sso login`"), "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_group_is_called_wrongly() -> Result<()> {
    let world = world().await?;
    let output = doctor(&world, &["--group", "nobody"]).await?;
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output).contains("no Auto Scaling group nobody"),
        "{}",
        text(&output)
    );
    Ok(())
}

#[tokio::test]
async fn without_a_region_it_says_where_to_set_one() -> Result<()> {
    let mut doctor = doctor_of_nobody(&[]);
    doctor
        .env("AWS_ACCESS_KEY_ID", "doctor")
        .env("AWS_SECRET_ACCESS_KEY", "x");
    let output = doctor.output().await?;
    assert_eq!(output.status.code(), Some(2));
    let said = text(&output);
    assert!(
        said.contains("no AWS region is set: give --region, set AWS_REGION"),
        "{said}"
    );
    Ok(())
}

#[tokio::test]
async fn without_credentials_it_says_how_to_get_some() -> Result<()> {
    let output = doctor_of_nobody(&["--region", "us-east-1"]).output().await?;
    assert_eq!(output.status.code(), Some(2));
    let said = text(&output);
    assert!(
        said.contains("no usable AWS credentials: choose a profile with --profile"),
        "{said}"
    );
    assert!(
        said.contains("reason: ") && !said.contains("CredentialsNotLoaded"),
        "{said}"
    );
    Ok(())
}

#[tokio::test]
async fn an_unknown_profile_is_named() -> Result<()> {
    let output = doctor_of_nobody(&["--region", "us-east-1", "--profile", "nobody"])
        .output()
        .await?;
    assert_eq!(output.status.code(), Some(2));
    let said = text(&output);
    assert!(
        said.contains("there is no profile nobody in the files of the AWS CLI"),
        "{said}"
    );
    Ok(())
}

/// As in the AWS CLI: a named profile wins over the keys of the environment, and those over `AWS_PROFILE`.
#[tokio::test(flavor = "multi_thread")]
async fn profiles_count_as_in_the_aws_cli() -> Result<()> {
    let world = world().await?;
    let folder = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let config = folder.join(format!("config-{}", std::process::id()));
    std::fs::write(
        &config,
        "[profile own]\naws_access_key_id = own\naws_secret_access_key = x\nregion = us-east-1\n",
    )?;
    let who = async |profile: &str, arguments: &[&str]| {
        let mut doctor = doctor_of_nobody(arguments);
        doctor
            .env("AWS_ENDPOINT_URL", world.url())
            .env("AWS_CONFIG_FILE", &config)
            .env("AWS_PROFILE", profile)
            .env("AWS_ACCESS_KEY_ID", "environment")
            .env("AWS_SECRET_ACCESS_KEY", "x");
        let before = world.calls().await?.len();
        let output = doctor.output().await?;
        let caller = world
            .calls()
            .await?
            .get(before)
            .and_then(|call| call.caller.clone());
        anyhow::Ok((output.status.code(), caller, text(&output)))
    };
    let (_, caller, said) = who("", &["--profile", "own"]).await?;
    assert_eq!(caller.as_deref(), Some("own"), "{said}");
    let (_, caller, said) = who("own", &[]).await?;
    assert_eq!(caller.as_deref(), Some("environment"), "{said}");
    let (status, caller, said) = who("nobody", &[]).await?;
    assert_eq!((status, caller), (Some(2), None), "{said}");
    assert!(said.contains("there is no profile nobody"), "{said}");
    Ok(())
}

async fn make_sick(world: &World) -> Result<()> {
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(world.url())
        .region(Region::new("us-east-1"))
        .credentials_provider(aws_credential_types::provider::SharedCredentialsProvider::new(
            Credentials::new("owner", "x", None, None, "test"),
        ))
        .http_client(spot_handoff::runtime::aws::http_client())
        .build();
    let autoscaling = aws_sdk_autoscaling::Client::new(&config);
    autoscaling
        .suspend_processes()
        .auto_scaling_group_name("web")
        .scaling_processes("Launch")
        .send()
        .await?;
    autoscaling
        .update_auto_scaling_group()
        .auto_scaling_group_name("web")
        .max_size(3)
        .send()
        .await?;
    autoscaling
        .put_lifecycle_hook()
        .auto_scaling_group_name("web")
        .lifecycle_hook_name("spot-handoff-drain")
        .lifecycle_transition("autoscaling:EC2_INSTANCE_TERMINATING")
        .heartbeat_timeout(30)
        .send()
        .await?;
    let ignored = Tag::builder()
        .resource_id("hooked")
        .resource_type("auto-scaling-group")
        .key("spot-handoff:ignore")
        .value("false")
        .propagate_at_launch(false)
        .build();
    autoscaling.create_or_update_tags().tags(ignored).send().await?;
    let balancing = aws_sdk_elasticloadbalancingv2::Client::new(&config);
    for group in ["classifier", "inference"] {
        let found = balancing.describe_target_groups().names(group).send().await?;
        let arn = found
            .target_groups()
            .first()
            .and_then(|one| one.target_group_arn());
        let delay = TargetGroupAttribute::builder()
            .key("deregistration_delay.timeout_seconds")
            .value("240")
            .build();
        balancing
            .modify_target_group_attributes()
            .target_group_arn(arn.context("the sample fleet's target group")?)
            .attributes(delay)
            .send()
            .await?;
    }
    let percentages = aws_sdk_ecs::types::DeploymentConfiguration::builder()
        .minimum_healthy_percent(100)
        .maximum_percent(100)
        .build();
    aws_sdk_ecs::Client::new(&config)
        .update_service()
        .cluster("web")
        .service("api")
        .deployment_configuration(percentages)
        .send()
        .await?;
    Ok(())
}
