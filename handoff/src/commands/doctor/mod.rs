//! `cargo handoff doctor`: what an account would lose in an interruption, and what to change. It changes nothing
//! itself.

mod facts;
mod output;
mod rules;

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use spot_handoff::autoscaling::policies::{DefaultStopTimeout, KeepHealthy, LifecycleHooks};
use spot_handoff::ecs::rerun_roles::RerunRoles;
use spot_handoff::runtime::config::{ConfigError, Env};

use crate::account::{self, AccountArguments};
use crate::commands::parameters;
use crate::stack::{DEFAULT_NAME, no_stack};
use crate::usage::{UsageError, no_group};
use facts::{Facts, Reader, Settings};
use output::{Diagnosis, Format};
use rules::{Finding, Severity};

/// The parameters of template.yaml that rules depend on, and the functions' variables for them.
const PARAMETERS: &[(&str, &str)] = &[
    ("Scope", "SCOPE"),
    ("Clusters", "CLUSTERS"),
    ("StandaloneTasks", "STANDALONE_TASKS"),
    ("ReplacementStrategy", "REPLACEMENT_STRATEGY"),
    ("LifecycleHooks", "LIFECYCLE_HOOKS"),
    ("RebalanceAction", "REBALANCE_ACTION"),
    ("RerunRoles", "RERUN_ROLES"),
    ("KeepHealthy", "KEEP_HEALTHY"),
    ("DefaultStopTimeout", "DEFAULT_STOP_TIMEOUT"),
    ("DryRun", "DRY_RUN"),
];

#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo handoff doctor
  cargo handoff doctor --profile production --region eu-west-1 --group web
  cargo handoff doctor --parameter Scope=tagged --format markdown > findings.md
  cargo handoff doctor --rules

Exit status: 0 nothing at or above --fail-on; 3 warnings, or info findings with --fail-on info; 4 critical findings; \
1 something could not be read, 2 wrong usage.

Permissions: only reads; docs/doctor.md lists them.")]
pub struct Arguments {
    /// Look at this Auto Scaling group only, and at what runs on its instances
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    group: Option<String>,

    /// What to print
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,

    /// The least severe finding that makes the exit status other than 0
    #[arg(long, value_name = "SEVERITY", value_enum, default_value_t = Severity::Warning)]
    fail_on: Severity,

    /// The deployed stack, whose parameters count [default: spot-handoff; where there is none, the template's defaults]
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    stack: Option<String>,

    /// A parameter of template.yaml in place of the stack's; may be given several times
    #[arg(long = "parameter", value_name = "KEY=VALUE", value_parser = parameter)]
    parameters: Vec<(String, String)>,

    /// Print the table of rules, and look at nothing
    #[arg(long)]
    rules: bool,

    #[command(flatten)]
    account: AccountArguments,
}

fn parameter(text: &str) -> Result<(String, String), String> {
    let (name, value) = parameters::parse(text)?;
    if PARAMETERS.iter().all(|(known, _)| *known != name) {
        let known: Vec<&str> = PARAMETERS.iter().map(|(name, _)| *name).collect();
        return Err(format!(
            "no rule depends on {name}; they depend on {}",
            known.join(", ")
        ));
    }
    Ok((name, value))
}

/// Looks at an account, and prints the findings.
pub async fn run(arguments: Arguments) -> Result<ExitCode> {
    if arguments.rules {
        anstream::print!("{}", output::rules_as_markdown());
        return Ok(ExitCode::SUCCESS);
    }
    // Reports wrong arguments before reading anything.
    settings(&arguments.parameters, Source::CommandLine)?;
    let config = account::sdk_config(&arguments.account).await?;
    let reader = Reader::new();
    let stack = arguments.stack.as_deref().unwrap_or(DEFAULT_NAME);
    let deployed = facts::parameters(&config, &reader, stack).await;
    reader.check_credentials()?;
    let deployed = match (deployed, &arguments.stack) {
        (None, Some(stack)) => return Err(no_stack(stack, &config).into()),
        (deployed, _) => deployed,
    };
    let is_deployed = deployed.is_some();
    let parameters: Vec<_> = deployed
        .into_iter()
        .flatten()
        .chain(arguments.parameters.clone())
        .collect();
    let settings = settings(&parameters, Source::Stack(stack))?;
    let only = arguments.group.clone();
    let facts = facts::read(&config, reader, stack, settings, only, is_deployed).await;
    if let Some(group) = &arguments.group
        && facts.groups.is_empty()
        && facts.unread.is_empty()
    {
        return Err(no_group(group).into());
    }
    let findings = rules::examine(&facts);
    let diagnosis = Diagnosis {
        facts: &facts,
        findings: &findings,
        region: config.region().map(AsRef::as_ref).unwrap_or_default(),
        account: &arguments.account,
    };
    anstream::print!("{}", diagnosis.say(arguments.format));
    Ok(ExitCode::from(exit_status(&facts, &findings, arguments.fail_on)))
}

/// Where the values of parameters come from.
#[derive(Clone, Copy)]
enum Source<'a> {
    /// From `--parameter`.
    CommandLine,
    /// From the deployed stack of this name.
    Stack(&'a str),
}

/// The settings of a stack with these parameters. If a parameter is given twice, the last value counts.
fn settings(parameters: &[(String, String)], source: Source<'_>) -> Result<Settings, UsageError> {
    let given: BTreeMap<&str, &str> = parameters.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let variables: Vec<(&str, &str)> = PARAMETERS
        .iter()
        .filter_map(|(name, variable)| Some((*variable, *given.get(name)?)))
        .collect();
    let env = Env::of(&variables);
    let wrong = |parameter: &'static str| {
        move |error: ConfigError| {
            let wrong = error.called(parameter);
            UsageError::new(match source {
                Source::CommandLine => format!("--parameter {wrong}"),
                Source::Stack(stack) => {
                    format!("the stack {stack} has a wrong {wrong}; set it as in docs/runbook.md#only-report")
                }
            })
        }
    };
    Ok(Settings {
        scope: env.scope().map_err(wrong("Scope"))?,
        clusters: env.clusters().map_err(wrong("Clusters"))?,
        standalone_tasks: env.choice("STANDALONE_TASKS").map_err(wrong("StandaloneTasks"))?,
        replacement: env
            .choice("REPLACEMENT_STRATEGY")
            .map_err(wrong("ReplacementStrategy"))?,
        hooks: env
            .get("LIFECYCLE_HOOKS")
            .map_or_else(|| Settings::default().hooks, |list| LifecycleHooks::of(&list)),
        rebalance: env.choice("REBALANCE_ACTION").map_err(wrong("RebalanceAction"))?,
        fallback: env.choice("SPOT_FALLBACK").map_err(wrong("SpotFallback"))?,
        rerun_roles: RerunRoles::of_env(&env).map_err(wrong("RerunRoles"))?,
        keep_healthy: KeepHealthy::of_env(&env).map_err(wrong("KeepHealthy"))?,
        default_stop_timeout: DefaultStopTimeout::of_env(&env).map_err(wrong("DefaultStopTimeout"))?,
        dry_run: env.dry_run().map_err(wrong("DryRun"))?,
    })
}

/// A finding weighs more than something unread: what is known to be wrong is wrong in any case.
fn exit_status(facts: &Facts, findings: &[Finding], fail_on: Severity) -> u8 {
    let worst = findings.iter().map(|finding| finding.severity).max();
    match worst.filter(|worst| *worst >= fail_on) {
        Some(Severity::Critical) => 4,
        Some(Severity::Warning | Severity::Info) => 3,
        None if !facts.unread.is_empty() => 1,
        None => 0,
    }
}

#[cfg(test)]
mod tests;
