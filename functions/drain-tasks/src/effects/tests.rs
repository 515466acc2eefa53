//! What ECS and Auto Scaling are asked, and how their answers are read.

use serde_json::json;
use spot_handoff::notice::LifecycleAction;
use spot_handoff::report::ActionResult;
use spot_handoff::runtime::aws::CallCounter;
use testbed::script::{self, Answer, Asked, Script, xml_error};

use super::*;

const DRAIN: &str = "UpdateContainerInstancesState";
const STOP: &str = "StopTask";
const COMPLETE: &str = "CompleteLifecycleAction";
const HEARTBEAT: &str = "RecordLifecycleActionHeartbeat";
const ONE: &str = "arn:aws:ecs:us-east-1:1:container-instance/web/1";
const OTHER: &str = "arn:aws:ecs:us-east-1:1:container-instance/web/2";
const TASK: &str = "arn:aws:ecs:us-east-1:1:task/web/3";

/// The results of actions with these answers, and the calls.
async fn carried_out(
    actions: &[Action],
    answers: impl IntoIterator<Item = Answer>,
) -> (Vec<ActionResult>, Vec<Asked>) {
    let script = Script::of(answers);
    let sdk = script.sdk();
    let clients = Clients {
        autoscaling: aws_sdk_autoscaling::Client::new(&sdk),
        ecs: aws_sdk_ecs::Client::new(&sdk),
        sqs: aws_sdk_sqs::Client::new(&sdk),
        table: Table::new(&script::env(), &sdk, CallCounter::default()).expect("a table"),
    };
    let invocation = script::invocation("drain-tasks");
    let notice = Notice {
        event_id: "event".to_owned(),
        instance: "i-1234567890abcdef0".parse().expect("an id"),
        time: invocation.started_at,
        signal: Signal::RebalanceRecommendation,
        ends: None,
        drill: None,
    };
    let distinct: Vec<(&Notice, &Action)> = actions.iter().map(|action| (&notice, action)).collect();
    let (drained, stopped, told) = tokio::join!(
        drain(&clients, &invocation, &distinct),
        stop(&clients, &invocation, &distinct),
        lifecycle::tell(&clients.autoscaling, &invocation, &distinct),
    );
    let done: Results<Action> = drained.into_iter().chain(stopped).chain(told).collect();
    let results = actions.iter().map(|action| done[action].result);
    (results.collect(), script.asked())
}

fn both() -> [Action; 2] {
    [ONE, OTHER].map(|container_instance| Action::Drain {
        cluster: "web".to_owned(),
        container_instance: container_instance.to_owned(),
    })
}

#[tokio::test]
async fn container_instances_of_a_cluster_are_set_to_draining_in_one_call() {
    let answer = json!({ "containerInstances": [], "failures": [{ "arn": OTHER, "reason": "INACTIVE" }] });
    let (results, asked) = carried_out(&both(), [script::json(DRAIN, &answer)]).await;
    assert_eq!(results, [ActionResult::Done, ActionResult::AlreadyDone]);
    let expected = json!({ "cluster": "web", "containerInstances": [ONE, OTHER], "status": "DRAINING" });
    assert_eq!(asked, [(DRAIN.to_owned(), expected)]);
}

#[tokio::test]
async fn one_that_ecs_refuses_does_not_hold_up_the_others() {
    let refused = || script::json_error(DRAIN, 400, "InvalidParameterException", "is not ACTIVE");
    let accepted = script::json(DRAIN, &json!({}));
    let (results, asked) = carried_out(&both(), [refused(), refused(), accepted]).await;
    assert_eq!(results, [ActionResult::Failed, ActionResult::Done]);
    assert_eq!(asked.len(), 3);
    // Without the permission, a call for each does not help.
    let denied = script::json_error(DRAIN, 400, "AccessDeniedException", "no");
    let (results, asked) = carried_out(&both(), [denied]).await;
    assert_eq!((results, asked.len()), (vec![ActionResult::Failed; 2], 1));
}

fn stopping() -> Action {
    Action::StopTask {
        cluster: "web".to_owned(),
        task: TASK.to_owned(),
        reason: "interrupted".to_owned(),
        holds_accelerator: false,
    }
}

#[tokio::test]
async fn a_task_is_stopped_with_the_reason_and_one_that_is_gone_counts_as_stopped() {
    let throttled = script::json_error(STOP, 400, "ThrottlingException", "Rate exceeded");
    let (results, asked) = carried_out(&[stopping()], [throttled, script::json(STOP, &json!({}))]).await;
    assert_eq!(results, [ActionResult::Done]);
    let expected = json!({ "cluster": "web", "task": TASK, "reason": "interrupted" });
    assert_eq!(asked, vec![(STOP.to_owned(), expected); 2]);
    for (code, message, expected) in [
        (
            "InvalidParameterException",
            "The referenced task was not found.",
            ActionResult::AlreadyDone,
        ),
        (
            "ClusterNotFoundException",
            "Cluster not found.",
            ActionResult::Failed,
        ),
        ("AccessDeniedException", "no", ActionResult::Failed),
    ] {
        let refused = script::json_error(STOP, 400, code, message);
        let (results, asked) = carried_out(&[stopping()], [refused]).await;
        assert_eq!((results, asked.len()), (vec![expected], 1), "{code}");
    }
}

#[tokio::test]
async fn a_lifecycle_action_that_auto_scaling_does_not_know_is_over() {
    let action = LifecycleAction {
        group: "web".to_owned(),
        hook: "spot-handoff-drain".to_owned(),
        token: "token".to_owned(),
        to_warm_pool: false,
    };
    let over = xml_error(
        COMPLETE,
        400,
        "ValidationError",
        "No active Lifecycle Action found",
    );
    let (results, asked) = carried_out(&[Action::Complete(action.clone())], [over]).await;
    assert_eq!(results, [ActionResult::AlreadyDone]);
    let expected = json!({ "AutoScalingGroupName": "web", "LifecycleHookName": "spot-handoff-drain",
        "LifecycleActionToken": "token", "LifecycleActionResult": "CONTINUE" });
    assert_eq!(asked, [(COMPLETE.to_owned(), expected)]);
    let denied = xml_error(HEARTBEAT, 403, "AccessDenied", "no");
    let (results, _) = carried_out(&[Action::Heartbeat(action)], [denied]).await;
    assert_eq!(results, [ActionResult::Failed]);
}
