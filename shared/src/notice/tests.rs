use serde_json::Value;

use super::*;

fn now() -> Timestamp {
    "2026-11-24T04:00:30Z".parse().expect("a time")
}

fn event(source: &str, detail_type: &str, detail: Value) -> String {
    serde_json::json!({
        "version": "0", "id": "12345678-1234-1234-1234-123456789012", "detail-type": detail_type, "source": source,
        "account": "111122223333", "time": "2026-11-24T04:00:00Z", "region": "us-east-1",
        "resources": ["arn:aws:ec2:us-east-1a:instance/i-1234567890abcdef0"], "detail": detail,
    })
    .to_string()
}

fn warning(detail: Value) -> String {
    event("aws.ec2", interruption_warning::DETAIL_TYPE, detail)
}

fn one(text: &str) -> Notice {
    match parse(text, now()).expect("readable") {
        Message::Notices(notices) if notices.len() == 1 => notices[0].clone(),
        other => panic!("not one notice: {other:?}"),
    }
}

fn refusal(text: &str) -> String {
    parse(text, now()).expect_err("unreadable").to_string()
}

#[test]
fn an_interruption_warning_gives_two_minutes() {
    let text =
        warning(serde_json::json!({"instance-id": "i-1234567890abcdef0", "instance-action": "terminate"}));
    let notice = one(&text);
    assert_eq!(notice.instance.as_str(), "i-1234567890abcdef0");
    assert_eq!(
        notice.signal,
        Signal::InterruptionWarning {
            action: InstanceAction::Terminate
        }
    );
    assert_eq!(
        notice.deadline().expect("one").to_string(),
        "2026-11-24T04:02:00Z"
    );
}

#[test]
fn a_capacity_reservation_says_itself_when_the_instance_goes() {
    let warning = |ends: &str, zone: &str| {
        let detail = serde_json::json!({
            "instance-id": "i-1234567890abcdef0", "instance-action": "terminate",
            "instance-termination-time": ends, zone: "use1-az2",
        });
        event("aws.ec2", capacity_interruption::DETAIL_TYPE, detail)
    };
    // AWS's two pages use two names for the zone.
    for zone in ["azId", "availability-zone-id"] {
        let notice = one(&warning("2026-11-24T04:07:00Z", zone));
        assert_eq!(notice.signal.name(), Signal::INTERRUPTION_WARNING);
        assert_eq!(
            notice.deadline().expect("one").to_string(),
            "2026-11-24T04:07:00Z"
        );
    }
    assert!(refusal(&warning("soon", "azId")).starts_with("field `detail.instance-termination-time`: "));
}

#[test]
fn what_no_function_acts_on_is_told() {
    let block = serde_json::json!({"capacity-reservation-id": "cr-1", "end-date": "2026-11-24T04:40:00Z"});
    let vague = serde_json::json!({"capacity-reservation-id": "cr-1"});
    let reboot = serde_json::json!({
        "service": "EC2", "eventTypeCategory": "scheduledChange",
        "eventTypeCode": "AWS_EC2_SYSTEM_REBOOT_MAINTENANCE_SCHEDULED",
        "startTime": "Sat, 05 Dec 2026 15:10:09 GMT", "affectedEntities": [{"entityValue": "i-1234567890abcdef0"}],
    });
    let [first, second] = capacity_block::DETAIL_TYPES;
    for (source, kind, detail, expected) in [
        (
            "aws.ec2",
            first,
            &block,
            "Capacity Block ends at 2026-11-24T04:40:00Z: cr-1",
        ),
        ("aws.ec2", second, &vague, "Capacity Block ends: cr-1"),
        (DRILL_SOURCE, first, &vague, "Capacity Block ends: cr-1 (drill)"),
        (
            "aws.health",
            scheduled_change::DETAIL_TYPE,
            &reboot,
            "AWS restarts instances at 2026-12-05T15:10:09Z: i-1234567890abcdef0",
        ),
    ] {
        let text = event(source, kind, detail.clone());
        let Ok(Message::Advice(advice) | Message::Announced { advice, .. }) = parse(&text, now()) else {
            panic!("not told: {text}")
        };
        assert_eq!(advice.subject(), expected);
    }
}

#[test]
fn what_auto_scaling_sends_to_a_queue_itself_is_not_ours() {
    let test = r#"{"AccountId":"1","AutoScalingGroupName":"g","Service":"AWS Auto Scaling",
        "Event":"autoscaling:TEST_NOTIFICATION","Time":"2026-11-24T04:00:00Z"}"#;
    let Ok(Message::NotOurs { what }) = parse(test, now()) else {
        panic!("not ignored")
    };
    assert_eq!(what, "autoscaling:TEST_NOTIFICATION");
}

#[test]
fn hibernation_leaves_no_time() {
    let detail =
        |action| serde_json::json!({"instance-id": "i-1234567890abcdef0", "instance-action": action});
    assert_eq!(one(&warning(detail("hibernate"))).deadline(), None);
    assert!(one(&warning(detail("stop"))).deadline().is_some());
}

#[test]
fn a_drill_is_read_like_the_real_thing() {
    let detail = serde_json::json!({"instance-id": "i-1234567890abcdef0"});
    let notice = one(&event(
        DRILL_SOURCE,
        rebalance_recommendation::DETAIL_TYPE,
        detail,
    ));
    assert_eq!(notice.signal, Signal::RebalanceRecommendation);
}

#[test]
fn a_drill_is_planned_only_unless_it_says_that_it_is_for_real() {
    let id = "i-1234567890abcdef0";
    let real = serde_json::json!({"instance-id": id, "for-real": true});
    let text = serde_json::json!({"instance-id": id, "for-real": "true"});
    let silent = serde_json::json!({"instance-id": id});
    for (source, detail, drill, planned_only) in [
        ("aws.ec2", &silent, None, false),
        // AWS sends no such event, and nobody else can send one with its source.
        ("aws.ec2", &real, None, false),
        (DRILL_SOURCE, &silent, Some(Drill { for_real: false }), true),
        (DRILL_SOURCE, &text, Some(Drill { for_real: false }), true),
        (DRILL_SOURCE, &real, Some(Drill { for_real: true }), false),
    ] {
        let event = event(source, rebalance_recommendation::DETAIL_TYPE, detail.clone());
        let notice = one(&event);
        assert_eq!(
            (notice.drill, notice.is_planned_only()),
            (drill, planned_only),
            "{event}"
        );
    }
}

#[test]
fn a_follow_up_is_as_much_of_a_drill_as_its_notice() {
    let detail = serde_json::json!({"instance-id": "i-1234567890abcdef0"});
    let mut notice = one(&event("aws.ec2", rebalance_recommendation::DETAIL_TYPE, detail));
    let follow_up = FollowUp {
        cause: Cause::Rebalance,
        deadline: None,
        step: Step::Retire { group: "g".into() },
    };
    for drill in [
        None,
        Some(Drill { for_real: true }),
        Some(Drill { for_real: false }),
    ] {
        notice.drill = drill;
        assert_eq!(one(&follow_up.to_body(&notice)).drill, drill);
    }
}

#[test]
fn errors_name_the_field_and_what_is_wrong_with_it() {
    let missing = warning(serde_json::json!({"instance-action": "terminate"}));
    assert_eq!(refusal(&missing), "field `detail.instance-id`: missing");
    let number = warning(serde_json::json!({"instance-id": 7, "instance-action": "terminate"}));
    assert_eq!(
        refusal(&number),
        "field `detail.instance-id`: invalid type: integer `7`, expected a string"
    );
    let not_an_id = warning(serde_json::json!({"instance-id": "i-XYZ", "instance-action": "terminate"}));
    assert_eq!(
        refusal(&not_an_id),
        "field `detail.instance-id`: expected `i-` and 8 or 17 hexadecimal digits, found `i-XYZ`"
    );
    let action =
        warning(serde_json::json!({"instance-id": "i-1234567890abcdef0", "instance-action": "explode"}));
    assert!(refusal(&action).starts_with("field `detail.instance-action`: unknown variant `explode`"));
    assert!(refusal("not json").starts_with("the message is not JSON: "));
    assert_eq!(refusal("{}"), "field `detail-type`: missing");
    assert!(refusal("[1]").starts_with("field `"), "{}", refusal("[1]"));
    let no_time = r#"{"id":"1","source":"aws.ec2","detail-type":"EC2 Instance Rebalance Recommendation",
        "detail":{"instance-id":"i-1234567890abcdef0"}}"#;
    assert_eq!(refusal(no_time), "field `time`: missing");
}

#[test]
fn a_key_that_stands_twice_is_refused() {
    let text = r#"{"id":"1","id":"2","source":"aws.ec2","detail-type":"x","detail":{}}"#;
    assert_eq!(refusal(text), "field `id`: appears twice");
}

#[test]
fn events_that_are_not_ours_are_told_apart() {
    let pending = serde_json::json!({"instance-id": "i-1234567890abcdef0", "state": "pending"});
    let launched = serde_json::json!({"EC2InstanceId": "i-1234567890abcdef0", "Origin": "EC2"});
    let quota = serde_json::json!({"service": "EC2", "eventTypeCategory": "accountNotification"});
    let retirement = serde_json::json!({"instance-id": "i-1234567890abcdef0"});
    for text in [
        event("aws.ec2", "EBS Volume Notification", serde_json::json!({})),
        event(
            "aws.autoscaling",
            "EC2 Instance-launch Lifecycle Action",
            serde_json::json!({}),
        ),
        event("aws.ec2", state_change::DETAIL_TYPE, pending),
        event("aws.autoscaling", left_warm_pool::DETAIL_TYPE, launched),
        event("aws.health", scheduled_change::DETAIL_TYPE, quota),
        event("somebody.else", rebalance_recommendation::DETAIL_TYPE, retirement),
    ] {
        assert!(
            matches!(parse(&text, now()), Ok(Message::NotOurs { .. })),
            "{text}"
        );
    }
}

#[test]
fn an_instance_that_comes_back_is_told_from_one_that_goes() {
    let id = "i-1234567890abcdef0";
    let running = serde_json::json!({"instance-id": id, "state": "running"});
    let left =
        serde_json::json!({"EC2InstanceId": id, "Origin": "WarmPool", "Destination": "AutoScalingGroup"});
    for text in [
        event("aws.ec2", state_change::DETAIL_TYPE, running),
        event("aws.autoscaling", left_warm_pool::DETAIL_TYPE, left),
    ] {
        let notice = one(&text);
        assert_eq!(
            (notice.instance.as_str(), &notice.signal),
            (id, &Signal::Returned)
        );
        assert!(!notice.comes_back() && notice.deadline().is_none());
    }
    let nowhere = serde_json::json!({"Origin": "WarmPool"});
    let nowhere = event("aws.autoscaling", left_warm_pool::DETAIL_TYPE, nowhere);
    assert_eq!(refusal(&nowhere), "field `detail.EC2InstanceId`: missing");

    let warned_to = |action: &str| {
        let detail = serde_json::json!({"instance-id": id, "instance-action": action});
        one(&warning(detail)).comes_back()
    };
    assert_eq!(
        ["stop", "hibernate", "terminate"].map(warned_to),
        [true, true, false]
    );
    let waits = |destination: Option<&str>| {
        let mut detail = serde_json::json!({"EC2InstanceId": id, "AutoScalingGroupName": "g",
            "LifecycleHookName": "h", "LifecycleActionToken": "t"});
        if let Some(destination) = destination {
            detail["Destination"] = destination.into();
        }
        let kind = terminate_lifecycle_action::DETAIL_TYPE;
        one(&event("aws.autoscaling", kind, detail)).comes_back()
    };
    assert_eq!(
        [Some("WarmPool"), Some("EC2"), None].map(waits),
        [true, false, false]
    );
}

#[test]
fn a_retirement_names_every_instance_on_the_hardware() {
    let detail = serde_json::json!({
        "service": "EC2", "eventTypeCategory": "scheduledChange",
        "eventTypeCode": "AWS_EC2_PERSISTENT_INSTANCE_RETIREMENT_SCHEDULED",
        "startTime": "Sat, 05 Dec 2026 15:10:09 GMT",
        "affectedEntities": [{"entityValue": "i-1234567890abcdef0"}, {"entityValue": "i-1234567890abcdef1"}],
    });
    let Ok(Message::Notices(notices)) =
        parse(&event("aws.health", scheduled_change::DETAIL_TYPE, detail), now())
    else {
        panic!("not notices")
    };
    let ids: Vec<_> = notices.iter().map(|n| n.instance.as_str()).collect();
    assert_eq!(ids, ["i-1234567890abcdef0", "i-1234567890abcdef1"]);
    assert_eq!(
        notices[0].deadline().expect("one").to_string(),
        "2026-12-05T15:10:09Z"
    );
}

#[test]
fn an_event_from_the_future_counts_as_sent_now() {
    let text = warning(serde_json::json!({"instance-id": "i-1234567890abcdef0", "instance-action": "stop"}))
        .replace("2026-11-24T04:00:00Z", "2027-01-01T00:00:00Z");
    assert_eq!(one(&text).time, now());
}

#[test]
fn a_follow_up_keeps_the_notice_it_belongs_to() {
    let detail = serde_json::json!({"instance-id": "i-1234567890abcdef0", "instance-action": "terminate"});
    let notice = one(&warning(detail));
    let action = LifecycleAction {
        group: "g".into(),
        hook: "h".into(),
        token: "t".into(),
        to_warm_pool: false,
    };
    for step in [
        Step::StopTasks {
            cluster: "c".into(),
            container_instance: "ci".into(),
            tasks: vec!["t".into()],
            as_last: None,
            reruns: vec![],
        },
        Step::StopTasks {
            cluster: "c".into(),
            container_instance: "ci".into(),
            tasks: vec!["t".into()],
            as_last: None,
            reruns: vec![RerunOrder {
                task: "t".into(),
                cluster: "c".into(),
                since: notice.time,
                stage: RerunStage::Runs { new: "n".into() },
                refusals: 1,
                copy: TaskCopy {
                    definition: "d:1".into(),
                    overrides: Some(Overrides::default()),
                    tags: vec![("a".into(), "b".into())],
                    ..TaskCopy::default()
                },
            }],
        },
        Step::MoveWork {
            group: "g".into(),
            replacement: None,
        },
        Step::AwaitTasks {
            then: Then::CompleteLifecycleAction(action),
            silent_since: None,
        },
        Step::AwaitTasks {
            then: Then::Retire { group: "g".into() },
            silent_since: Some(notice.time),
        },
        Step::Look {
            group: None,
            registered: vec![],
            seen: vec![],
        },
        Step::Look {
            group: Some("g".into()),
            registered: vec![
                Registered {
                    cluster: "c".into(),
                    container_instance: "ce2f3b4d".into(),
                    draining_with: Some(3),
                },
                Registered {
                    cluster: "c".into(),
                    container_instance: "aa2f3b4d".into(),
                    draining_with: None,
                },
            ],
            seen: vec![Serving {
                target_group: "arn".into(),
                serving: 2,
                staying: 1,
            }],
        },
        Step::SeeEnds {
            cluster: "c".into(),
            tasks: vec!["t".into()],
        },
        Step::AwaitStart {
            action: InstanceAction::Stop,
        },
        Step::AwaitEnd { action: None },
        Step::AwaitWhole {
            action: Some(InstanceAction::Terminate),
        },
        Step::AwaitReplacement { group: "g".into() },
        Step::Retire { group: "g".into() },
        Step::GiveUp { group: "g".into() },
    ] {
        let follow_up = FollowUp {
            cause: Cause::Interruption,
            deadline: notice.deadline(),
            step,
        };
        let back = one(&follow_up.to_body(&notice));
        assert_eq!(back.signal, Signal::FollowUp(follow_up));
        assert_eq!(
            (back.event_id, back.time, back.instance),
            (notice.event_id.clone(), notice.time, notice.instance.clone())
        );
    }
}

#[test]
fn one_message_looks_at_many_notices_and_each_keeps_its_own() {
    let detail = |digit: u8| {
        let id = format!("i-1234567890abcdef{digit}");
        serde_json::json!({"instance-id": id, "instance-action": "terminate"})
    };
    let mut notices: Vec<Notice> = (0..3).map(|digit| one(&warning(detail(digit)))).collect();
    notices[1].event_id = "another".into();
    notices[2].drill = Some(Drill { for_real: true });
    notices[2].time = "2026-11-24T03:59:00Z".parse().expect("a time");
    let look = |notice: &Notice| FollowUp {
        cause: Cause::Interruption,
        deadline: notice.deadline(),
        step: Step::Look {
            group: None,
            registered: vec![],
            seen: vec![],
        },
    };
    let looks: Vec<FollowUp> = notices.iter().map(look).collect();
    let pairs: Vec<(&Notice, &FollowUp)> = notices.iter().zip(&looks).collect();
    let body = FollowUp::many_to_body(&pairs).expect("a body");
    let Ok(Message::Notices(back)) = parse(&body, now()) else {
        panic!("not notices")
    };
    let expected: Vec<Notice> = notices
        .iter()
        .zip(&looks)
        .map(|(notice, look)| Notice {
            signal: Signal::FollowUp(look.clone()),
            ..notice.clone()
        })
        .collect();
    assert_eq!(back, expected);
    assert_eq!(FollowUp::many_to_body(&[]), None);
    for (wrong, field) in [
        (("another", ""), "field `detail.notices[1].event-id`"),
        (
            ("i-1234567890abcdef2", "vol-1"),
            "field `detail.notices[2].instance-id`",
        ),
        (("look", "jump"), "field `detail.notices[0]"),
    ] {
        let text = body.replace(wrong.0, wrong.1);
        let error = parse(&text, now()).expect_err(field).to_string();
        assert!(error.starts_with(field), "{error}");
    }
}

#[test]
fn an_old_warning_is_stale_but_an_old_lifecycle_action_is_not() {
    let detail = serde_json::json!({"instance-id": "i-1234567890abcdef0", "instance-action": "terminate"});
    let mut notice = one(&warning(detail));
    let hours_later = "2026-11-24T06:00:00Z".parse().expect("a time");
    assert!(!notice.is_stale(now()));
    assert!(notice.is_stale(hours_later));
    let action = LifecycleAction {
        group: "g".into(),
        hook: "h".into(),
        token: "t".into(),
        to_warm_pool: false,
    };
    notice.signal = Signal::TerminateLifecycleAction(action);
    assert!(!notice.is_stale(hours_later));
}

mod any_text {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn parsing_never_panics(text in ".{0,400}") {
            let _ = parse(&text, now());
        }

        #[test]
        fn parsing_never_panics_on_events_with_odd_details(detail in "[\\[\\]{}:,\"a-z0-9-]{0,80}", kind in 0..6usize) {
            let types = ["EC2 Spot Instance Interruption Warning", "EC2 Instance Rebalance Recommendation",
                "EC2 Instance State-change Notification", "AWS Health Event", "EC2 Instance-terminate Lifecycle Action",
                "EC2 Instance Launch Successful"];
            let _ = parse(&format!(r#"{{"source":"spot-handoff.drill","detail-type":"{}","detail":{detail}}}"#, types[kind]), now());
        }
    }
}

#[test]
fn a_launch_that_failed_names_a_group_and_perhaps_an_instance() {
    let sample = include_str!("../../../events/launch-unsuccessful.json");
    let Ok(Message::LaunchFailed(launch)) = parse(sample, now()) else {
        panic!("it is one");
    };
    assert_eq!(launch.group, "inference");
    assert!(launch.message.starts_with("Could not launch Spot Instances."));
    let with = |detail: serde_json::Value| {
        let mut event: serde_json::Value = serde_json::from_str(sample).expect("JSON");
        event["detail"] = detail;
        parse(&event.to_string(), now())
    };
    let bare = with(serde_json::json!({ "AutoScalingGroupName": "g" }));
    assert!(matches!(bare, Ok(Message::LaunchFailed(launch)) if launch.message.is_empty()));
    for (detail, field) in [
        (serde_json::json!({}), "detail.AutoScalingGroupName"),
        (
            serde_json::json!({ "AutoScalingGroupName": "" }),
            "detail.AutoScalingGroupName",
        ),
        (
            serde_json::json!({ "AutoScalingGroupName": "g", "StatusMessage": 7 }),
            "detail.StatusMessage",
        ),
    ] {
        let error = with(detail).expect_err("it cannot be read").to_string();
        assert!(error.contains(field), "{error}");
    }
}

fn seconds_of(seconds: i64) -> SignedDuration {
    SignedDuration::from_secs(seconds)
}

#[test]
fn a_storm_is_looked_at_less_often_and_once_more_before_the_end() {
    let seconds = |together| between_looks(together).as_secs();
    assert_eq!([1, 100, 800, 1000, 2500].map(seconds), [10, 10, 10, 12, 30]);
    assert_eq!(seconds(1_000_000), 30);
    let next = |after, every| {
        let at = next_look(
            now() + seconds_of(after),
            now() + seconds_of(120),
            seconds_of(every),
        );
        at.duration_since(now()).as_secs()
    };
    let of_storm: Vec<i64> = [0, 30, 60, 90, 105].map(|after| next(after, 30)).into();
    assert_eq!(of_storm, [30, 60, 90, 110, 115]);
    assert_eq!([next(0, 10), next(104, 10)], [10, 114]);
}
