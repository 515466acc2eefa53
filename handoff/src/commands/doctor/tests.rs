use super::facts::Unread;
use super::*;

fn unread() -> Facts {
    Facts {
        unread: vec![Unread {
            of: "web".to_owned(),
            action: "DescribeLifecycleHooks",
            error: "AccessDenied".to_owned(),
            cause: facts::Cause::Permission,
        }],
        ..Facts::default()
    }
}

fn finding(severity: Severity) -> Finding {
    let deployed_nowhere = Facts {
        deployment: facts::Deployment::Missing,
        ..Facts::default()
    };
    let mut found = rules::examine(&deployed_nowhere);
    let mut finding = found.remove(0);
    finding.severity = severity;
    finding
}

#[test]
fn the_exit_status_tells_the_worst_and_a_gap_is_never_all_well() {
    let fail_on = Severity::Warning;
    let read = Facts::default();
    assert_eq!(exit_status(&read, &[], fail_on), 0);
    assert_eq!(exit_status(&read, &[finding(Severity::Info)], fail_on), 0);
    assert_eq!(exit_status(&read, &[finding(Severity::Info)], Severity::Info), 3);
    assert_eq!(exit_status(&read, &[finding(Severity::Warning)], fail_on), 3);
    assert_eq!(
        exit_status(&read, &[finding(Severity::Warning)], Severity::Critical),
        0
    );
    assert_eq!(exit_status(&read, &[finding(Severity::Critical)], fail_on), 4);
    assert_eq!(exit_status(&unread(), &[], fail_on), 1);
    assert_eq!(exit_status(&unread(), &[finding(Severity::Critical)], fail_on), 4);
}

#[test]
fn what_could_not_be_read_is_said_and_not_taken_for_well() {
    let facts = unread();
    let diagnosis = Diagnosis {
        facts: &facts,
        findings: &[],
        region: "eu-west-1",
        account: &AccountArguments::default(),
    };
    for format in [Format::Text, Format::Json, Format::Markdown] {
        let said = diagnosis.say(format);
        assert!(said.contains("DescribeLifecycleHooks"), "{said}");
        assert!(!said.contains("nothing would lose work"), "{said}");
    }
}

#[test]
fn of_many_groups_the_totals_come_first_and_each_why_once() {
    let group = |number: usize| facts::Group {
        core: spot_handoff::autoscaling::groups::Group {
            name: format!("group-{number}"),
            desired: 1,
            max: 1,
            ..Default::default()
        },
        purchase: facts::Purchase::Spot,
        ..facts::Group::default()
    };
    let facts = Facts {
        deployment: facts::Deployment::Deployed,
        groups: (1..=60).map(group).collect(),
        ..Facts::default()
    };
    let findings = rules::examine(&facts);
    assert_eq!(findings.len(), 2 * 60, "no headroom, no Capacity Rebalancing");
    let diagnosis = Diagnosis {
        facts: &facts,
        findings: &findings,
        region: "eu-west-1",
        account: &AccountArguments::default(),
    };
    let said = anstream::adapter::strip_str(&diagnosis.say(Format::Text)).to_string();
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[0].starts_with("eu-west-1: 60 groups, "), "{said}");
    assert_eq!(lines[1], "0 critical, 60 warnings, 60 info");
    assert_eq!(said.matches("why  ").count(), 2, "{said}");
    // If all have the same fix, it is printed once.
    assert!(said.contains("group group-1, group-10, "), "{said}");
    assert_eq!(said.matches("fix  nothing to change").count(), 1, "{said}");
    assert_eq!(diagnosis.say(Format::Markdown).matches("Why: ").count(), 2);
}

#[test]
fn commands_for_another_account_say_how_to_get_there() {
    let facts = Facts::default();
    let findings = [finding(Severity::Critical)];
    let notes = |profile: Option<&str>, region: Option<&str>, findings| {
        let account = AccountArguments {
            profile: profile.map(str::to_owned),
            region: region.map(str::to_owned),
        };
        let diagnosis = Diagnosis {
            facts: &facts,
            findings,
            region: "eu-west-1",
            account: &account,
        };
        diagnosis.say(Format::Text)
    };
    let both = notes(Some("production"), Some("eu-west-1"), &findings[..]);
    assert!(
        both.contains("`export AWS_PROFILE=production AWS_REGION=eu-west-1` first"),
        "{both}"
    );
    let one = notes(Some("production"), None, &findings[..]);
    assert!(one.contains("`export AWS_PROFILE=production` first"), "{one}");
    assert!(!notes(None, None, &findings[..]).contains("export"));
    assert!(!notes(Some("production"), None, &[]).contains("export"));
}

#[test]
fn parameters_are_those_of_the_template_and_checked_like_them() {
    assert!(parameter("Scope=tagged").is_ok());
    assert!(
        parameter("Announcements=all")
            .expect_err("refused")
            .contains("StandaloneTasks")
    );
    let scope = [("Scope".to_owned(), "some".to_owned())];
    let wrong = settings(&scope, Source::CommandLine).expect_err("refused");
    assert_eq!(
        wrong.to_string(),
        "--parameter Scope: expected `all` or `tagged`, found `some`"
    );
    let wrong = settings(&scope, Source::Stack("spot-handoff")).expect_err("refused");
    assert_eq!(
        wrong.to_string(),
        "the stack spot-handoff has a wrong Scope: expected `all` or `tagged`, found `some`; \
         set it as in docs/runbook.md#only-report"
    );
    let pair = |value: &str| ("DryRun".to_owned(), value.to_owned());
    let given_last = settings(&[pair("true"), pair("false")], Source::CommandLine).expect("fine");
    assert!(!given_last.dry_run, "what is given counts, not what is deployed");
}

#[test]
fn the_documented_rules_are_those_of_the_code() {
    testbed::documentation::part("docs/doctor.md", "rules", &output::rules_as_markdown())
        .expect("up to date");
}
