//! What Auto Scaling is asked, how its answers are read, and what is never asked twice.

use serde_json::{Value, json};
use spot_handoff::notice::{InstanceId, Signal};
use spot_handoff::report::ActionResult;
use spot_handoff::runtime::aws::CallCounter;
use testbed::script::{self, Answer, Asked, Script, xml, xml_error};

use super::*;
use crate::plan::Leaving;

const GROUP: &str = "inference";
const INSTANCE: &str = "i-1234567890abcdef0";
const OTHER: &str = "i-00000000000000001";

const SET: &str = "SetDesiredCapacity";
const DETACH: &str = "DetachInstances";
const TERMINATE: &str = "TerminateInstanceInAutoScalingGroup";
const GROUPS: &str = "DescribeAutoScalingGroups";
const INSTANCES: &str = "DescribeAutoScalingInstances";

fn id(text: &str) -> InstanceId {
    text.parse().expect("an id")
}

fn leaving(instance: &str, decrement: bool) -> Leaving {
    Leaving {
        group: GROUP.to_owned(),
        instance: id(instance),
        decrement,
    }
}

/// The results of one plan's actions with these answers, and the calls.
async fn carried_out(
    actions: &[Action],
    answers: impl IntoIterator<Item = Answer>,
) -> (Vec<Done>, Vec<Asked>) {
    let script = Script::of(answers);
    let clients =
        Clients::new(&script::env(), &script.sdk(), CallCounter::default()).expect("a complete environment");
    let queues = Queues {
        deregister_targets: "deregister".to_owned(),
        drain_tasks: "drain".to_owned(),
        run_commands: "run".to_owned(),
        own: "own".to_owned(),
    };
    let invocation = script::invocation("replace-capacity");
    let aws = Aws {
        clients: &clients,
        queues: &queues,
        invocation: &invocation,
    };
    let notice = Notice {
        event_id: "event".to_owned(),
        instance: id(INSTANCE),
        time: invocation.started_at,
        signal: Signal::RebalanceRecommendation,
        ends: None,
        drill: None,
    };
    let plan = Plan {
        actions: actions.to_vec(),
        ..Plan::default()
    };
    let results = carry_out(aws, &[&notice], &[plan]).await;
    let done = actions.iter().map(|action| results[action].clone());
    (done.collect(), script.asked())
}

/// The same for one action: the result, the note, the called actions.
async fn one(
    action: Action,
    answers: impl IntoIterator<Item = Answer>,
) -> (ActionResult, String, Vec<String>) {
    let (done, asked) = carried_out(&[action], answers).await;
    let asked = asked.into_iter().map(|(action, _)| action).collect();
    (done[0].result, done[0].note.clone().unwrap_or_default(), asked)
}

fn raise() -> Action {
    Action::SetDesired {
        group: GROUP.to_owned(),
        instance: id(INSTANCE),
        from: 3,
        to: 4,
    }
}

/// The group, with this desired capacity.
fn desired(capacity: i32) -> Answer {
    let group = format!(
        "<AutoScalingGroupName>{GROUP}</AutoScalingGroupName><MinSize>0</MinSize><MaxSize>9</MaxSize>\
         <DesiredCapacity>{capacity}</DesiredCapacity>"
    );
    xml(
        GROUPS,
        &format!("<AutoScalingGroups><member>{group}</member></AutoScalingGroups>"),
    )
}

/// The instance in this state; without a state it is in no group.
fn member(state: Option<&str>) -> Answer {
    let member = state.map(|state| {
        format!(
            "<member><InstanceId>{INSTANCE}</InstanceId><AutoScalingGroupName>{GROUP}</AutoScalingGroupName>\
             <AvailabilityZone>us-east-1a</AvailabilityZone><LifecycleState>{state}</LifecycleState>\
             <HealthStatus>HEALTHY</HealthStatus><ProtectedFromScaleIn>false</ProtectedFromScaleIn></member>"
        )
    });
    let members = member.unwrap_or_default();
    xml(
        INSTANCES,
        &format!("<AutoScalingInstances>{members}</AutoScalingInstances>"),
    )
}

fn busy() -> Answer {
    xml_error(
        SET,
        500,
        "ResourceContention",
        "a scaling activity is in progress",
    )
}

#[tokio::test]
async fn the_desired_capacity_is_set_as_the_plan_says() {
    let (done, asked) = carried_out(&[raise()], [xml(SET, "")]).await;
    assert_eq!(done[0].result, ActionResult::Done);
    let expected = json!({ "AutoScalingGroupName": GROUP, "DesiredCapacity": "4", "HonorCooldown": "false" });
    assert_eq!(asked, [(SET.to_owned(), expected)]);
}

#[tokio::test]
async fn a_busy_group_is_read_before_it_is_asked_again() {
    // Nothing has changed, so the number is still right.
    let (result, _, asked) = one(raise(), [busy(), desired(3), xml(SET, "")]).await;
    assert_eq!(result, ActionResult::Done);
    assert_eq!(asked, [SET, GROUPS, SET]);
    // The answer was lost, but the call was carried out.
    let (result, _, asked) = one(raise(), [busy(), desired(4), xml(SET, "")]).await;
    assert_eq!(result, ActionResult::Done);
    assert_eq!(asked, [SET, GROUPS]);
    // Somebody has set another number meanwhile, and the old number must not undo that.
    let (result, why, asked) = one(raise(), [busy(), desired(7), xml(SET, "")]).await;
    assert_eq!(result, ActionResult::Failed);
    assert_eq!(asked, [SET, GROUPS]);
    assert!(why.contains("ResourceContention"), "{why}");
}

#[tokio::test]
async fn a_capacity_that_is_refused_is_not_asked_for_again() {
    for (status, code, said) in [
        (400, "ValidationError", "above max value 3"),
        (
            403,
            "AccessDenied",
            "allow SetDesiredCapacity in the function's role",
        ),
    ] {
        let refused = xml_error(SET, status, code, "above max value 3");
        let (result, why, asked) = one(raise(), [refused, xml(SET, "")]).await;
        assert_eq!((result, asked.len()), (ActionResult::Failed, 1), "{code}");
        assert!(why.contains(said), "{why}");
    }
}

#[tokio::test]
async fn a_detach_without_decrement_is_repeated_while_aws_is_busy() {
    let answers = [
        xml_error(DETACH, 400, "Throttling", "Rate exceeded"),
        xml_error(DETACH, 400, "ScalingActivityInProgress", "busy"),
        xml(DETACH, ""),
    ];
    let (done, asked) = carried_out(&[Action::Detach(leaving(INSTANCE, false))], answers).await;
    assert_eq!(done[0].result, ActionResult::Done);
    let expected = json!({ "AutoScalingGroupName": GROUP, "InstanceIds.member.1": INSTANCE,
        "ShouldDecrementDesiredCapacity": "false" });
    assert_eq!(asked, vec![(DETACH.to_owned(), expected); 3]);
}

#[tokio::test]
async fn one_that_has_left_does_not_keep_the_others() {
    let gone = || {
        xml_error(
            DETACH,
            400,
            "ValidationError",
            "i-1 is not part of Auto Scaling group inference.",
        )
    };
    let actions = [INSTANCE, OTHER].map(|instance| Action::Detach(leaving(instance, false)));
    let (done, asked) = carried_out(&actions, [gone(), gone(), xml(DETACH, "")]).await;
    let results: Vec<ActionResult> = done.iter().map(|done| done.result).collect();
    assert_eq!(results, [ActionResult::AlreadyDone, ActionResult::Done]);
    let second = |(_, what): &Asked| what.get("InstanceIds.member.2").is_some();
    let together: Vec<bool> = asked.iter().map(second).collect();
    assert_eq!(together, [true, false, false]);
}

/// Two instances that leave with decrement: the results, and how many instances each call named; `None` for a look.
async fn both_lowering(answers: impl IntoIterator<Item = Answer>) -> (Vec<ActionResult>, Vec<Option<usize>>) {
    let actions = [OTHER, INSTANCE].map(|instance| Action::Detach(leaving(instance, true)));
    let (done, asked) = carried_out(&actions, answers).await;
    let named = |(action, what): Asked| {
        let ids = what.as_object().into_iter().flatten();
        (action == DETACH).then(|| ids.filter(|(name, _)| name.starts_with("InstanceIds")).count())
    };
    let named = asked
        .into_iter()
        .filter(|(action, _)| action != GROUPS)
        .map(named);
    (
        done.into_iter().map(|done| done.result).collect(),
        named.collect(),
    )
}

#[tokio::test]
async fn many_leave_with_decrement_in_one_call_and_none_of_them_twice() {
    let refused = |code: &str, message: &str| xml_error(DETACH, 400, code, message);
    let throttled = || refused("Throttling", "Rate exceeded");
    let lost = || xml_error(DETACH, 503, "ServiceUnavailable", "try later");
    let gone = || {
        refused(
            "ValidationError",
            "i-1 is not part of Auto Scaling group inference.",
        )
    };
    let done = xml(DETACH, "");
    // A throttled call needs no look.
    let answers = (0..6).map(|_| throttled()).chain([done.clone()]);
    let (results, named) = both_lowering(answers).await;
    assert_eq!(results, [ActionResult::Done; 2]);
    assert_eq!(named, [Some(2); 7]);
    // If the answer to a call is lost, only the instances that are still there are asked for again.
    let answers = [lost(), member(Some("InService")), desired(3), done.clone()];
    let (results, named) = both_lowering(answers).await;
    assert_eq!(results, [ActionResult::Done; 2]);
    assert_eq!(named, [Some(2), None, Some(1)]);
    // An instance that left earlier is found by a call for each.
    let (results, named) = both_lowering([gone(), gone(), done.clone()]).await;
    assert_eq!(results, [ActionResult::AlreadyDone, ActionResult::Done]);
    assert_eq!(named, [Some(2), Some(1), Some(1)]);
    // Nobody knows, so both fail and come back.
    let unknown = xml_error(INSTANCES, 403, "AccessDenied", "no");
    let (results, named) = both_lowering([lost(), unknown, done]).await;
    assert_eq!(results, [ActionResult::Failed; 2]);
    assert_eq!(named, [Some(2), None]);
}

fn retire() -> Action {
    Action::Retire(leaving(INSTANCE, true))
}

fn no_answer() -> Answer {
    xml_error(TERMINATE, 503, "ServiceUnavailable", "try later")
}

#[tokio::test]
async fn a_termination_with_decrement_is_not_repeated_without_looking() {
    // The call was carried out: the instance is leaving or gone.
    for state in [Some("Terminating:Wait"), None] {
        let answers = [no_answer(), member(state), desired(3), xml(TERMINATE, "")];
        let (result, _, asked) = one(retire(), answers).await;
        assert_eq!(result, ActionResult::Done, "{state:?}");
        let times = asked.iter().filter(|action| *action == TERMINATE).count();
        assert_eq!(times, 1, "{asked:?}");
    }
    // The call was not carried out, so it is made again.
    let answers = [
        no_answer(),
        member(Some("InService")),
        desired(3),
        xml(TERMINATE, ""),
    ];
    let (result, _, asked) = one(retire(), answers).await;
    assert_eq!(result, ActionResult::Done);
    assert_eq!(asked, [TERMINATE, INSTANCES, GROUPS, TERMINATE]);
    // The call is throttled, and somebody else may have called meanwhile, so there is a look every time.
    let busy = || {
        let throttled = xml_error(TERMINATE, 400, "Throttling", "Rate exceeded");
        [throttled, member(Some("InService")), desired(3)]
    };
    let answers = (0..5).flat_map(|_| busy()).chain([xml(TERMINATE, "")]);
    let (result, _, asked) = one(retire(), answers).await;
    assert_eq!((result, asked.len()), (ActionResult::Done, 16));
    let gone = xml_error(TERMINATE, 400, "Throttling", "Rate exceeded");
    let (result, _, asked) = one(retire(), [gone, member(Some("Terminating")), desired(3)]).await;
    assert_eq!(result, ActionResult::Done);
    assert_eq!(asked, [TERMINATE, INSTANCES, GROUPS]);
    // Nobody knows, so it fails and comes back.
    let unknown = xml_error(INSTANCES, 403, "AccessDenied", "no");
    let (result, _, asked) = one(retire(), [no_answer(), unknown, xml(TERMINATE, "")]).await;
    assert_eq!(result, ActionResult::Failed);
    assert_eq!(asked, [TERMINATE, INSTANCES]);
}

#[tokio::test]
async fn an_instance_that_has_left_needs_no_termination() {
    let gone = xml_error(
        TERMINATE,
        400,
        "ValidationError",
        "Instance Id not found - No managed instance found",
    );
    let (done, asked) = carried_out(&[retire()], [gone]).await;
    assert_eq!(done[0].result, ActionResult::AlreadyDone);
    let expected: Value = json!({ "InstanceId": INSTANCE, "ShouldDecrementDesiredCapacity": "true" });
    assert_eq!(asked, [(TERMINATE.to_owned(), expected)]);
}
