use super::*;

#[test]
fn a_tag_of_the_group_wins_over_the_parameter_and_an_unknown_value_does_not() {
    let of_stack = DefaultStopTimeout(SignedDuration::from_secs(45));
    let of_tag = |value: Option<&str>| {
        let tags = value.map(|value| (DefaultStopTimeout::TAG.to_owned(), value.to_owned()));
        let group = Group {
            name: "g".to_owned(),
            tags: tags.into_iter().collect(),
            ..Group::default()
        };
        let (policy, unknown) = of_group(Some(&group), of_stack);
        (policy.0.as_secs(), unknown.map(|unknown| unknown.to_string()))
    };
    assert_eq!(of_tag(None), (45, None));
    assert_eq!(of_tag(Some("90")), (90, None));
    assert_eq!(of_tag(Some(" 90 ")), (90, None));
    for wrong in ["", "0", "-1", "3601", "90s", "soon"] {
        let (seconds, unknown) = of_tag(Some(wrong));
        assert_eq!(seconds, 45, "{wrong}");
        let said = unknown.expect("told");
        let named = [
            "group g",
            DefaultStopTimeout::TAG,
            wrong,
            DefaultStopTimeout::EXPECTED,
        ];
        assert!(named.iter().all(|word| said.contains(word)), "{said}");
    }
    assert_eq!(of_group(None, of_stack), (of_stack, None));
}

#[test]
fn tags_are_spelled_as_the_parameters_are() {
    fn all<P: ByTag + Choice + PartialEq + fmt::Debug>() {
        for (spelling, choice) in P::CHOICES {
            assert_eq!(P::of_tag(spelling), Some(*choice));
            assert_eq!(choice.spelling(), *spelling);
            assert!(P::EXPECTED.contains(spelling) && KNOWN_TAGS.contains(&P::TAG));
        }
        assert_eq!(P::of_tag("anything"), None);
    }
    all::<ReplacementStrategy>();
    all::<RebalanceAction>();
    all::<StandaloneTasks>();
    let dry_run = ["true", "false", "yes", ""].map(DryRun::of_tag);
    assert_eq!(dry_run, [Some(DryRun(true)), Some(DryRun(false)), None, None]);
    let longest = Some(MaxDrain(SignedDuration::from_hours(48)));
    assert_eq!(MaxDrain::of_tag("172800"), longest);
    assert_eq!(["0", "172801", "1h"].map(MaxDrain::of_tag), [None; 3]);
}

#[test]
fn the_page_has_every_tag() {
    let page = include_str!("../../../../docs/policy.md");
    for tag in KNOWN_TAGS {
        assert!(page.contains(&format!("`{tag}`")), "{tag}");
    }
}

#[test]
fn the_default_grace_is_that_of_agents_unless_set() {
    let of = |value| DefaultStopTimeout::of_env(&Env::of(&[("DEFAULT_STOP_TIMEOUT", value)]));
    assert_eq!(of(""), Ok(DefaultStopTimeout::OF_AGENTS));
    assert_eq!(of("90").map(|set| set.0.as_secs()), Ok(90));
    let error = of("90s").expect_err("refused").to_string();
    assert!(
        error.contains("DEFAULT_STOP_TIMEOUT") && error.contains("90s"),
        "{error}"
    );
}

#[test]
fn only_named_hooks_are_ours_to_complete() {
    let hooks = LifecycleHooks::of("spot-handoff-*, drain");
    for (hook, ours) in [
        ("spot-handoff-drain", true),
        ("drain", true),
        ("drain-logs", false),
        ("backup", false),
    ] {
        assert_eq!(hooks.include(hook), ours, "{hook}");
    }
    assert!(LifecycleHooks::of("*").include("anything"));
}

#[test]
fn shell_text_and_documents_of_aws_are_no_stop_document() {
    let known = |value: &str| StopDocument::of_tag(value).is_some();
    for ours in [
        "checkpoint",
        "Stop_Worker-2.1",
        "arn:aws:ssm:us-east-1:123456789012:document/checkpoint",
    ] {
        assert!(known(ours), "{ours}");
    }
    for not_ours in [
        "",
        "ab",
        "AWS-RunShellScript",
        "aws-runshellscript",
        "AmazonCloudWatch-ManageAgent",
        "amzn-document",
        "AWSEC2-RunPatchBaseline",
        "arn:aws:ssm:us-east-1::document/AWS-RunShellScript",
        "arn:aws:ssm:us-east-1:123456789012:document/AWS-RunShellScript",
        "arn:aws:ssm:us-east-1::document/checkpoint",
        "arn:aws:ec2:us-east-1:123456789012:document/checkpoint",
        "rm -rf /",
        "checkpoint; reboot",
        "$(reboot)",
    ] {
        assert!(!known(not_ours), "{not_ours}");
    }
}

#[test]
fn the_time_of_a_stop_script_and_its_moment_have_few_spellings() {
    assert_eq!(StopSeconds::of_tag("45").map(|it| it.0.as_secs()), Some(45));
    for wrong in ["", "4", "3601", "60s", "-1"] {
        assert_eq!(StopSeconds::of_tag(wrong), None, "{wrong}");
    }
    assert_eq!(StopWhen::of_tag("now"), Some(StopWhen::Now));
    assert_eq!(StopWhen::of_tag("Now"), None);
}
