//! What Elastic Load Balancing is asked, and how its answers are read.

use serde_json::json;
use spot_handoff::report::ActionResult;
use testbed::script::{self, Answer, Asked, Script, xml, xml_error};

use super::*;

const DEREGISTER: &str = "DeregisterTargets";
const TARGETS: &str = "arn:aws:elasticloadbalancing:us-east-1:1:targetgroup/web/50dc6c495c0c9188";

/// The results for two targets of one target group with these answers, and the calls.
async fn deregistered(answers: impl IntoIterator<Item = Answer>) -> ([ActionResult; 2], Vec<Asked>) {
    let script = Script::of(answers);
    let elb = Client::new(&script.sdk());
    let both = ["i-1", "i-2"].map(|id| Deregistration {
        target_group: TARGETS.to_owned(),
        target: Target {
            id: id.to_owned(),
            port: Some(80),
        },
        of: id.to_owned(),
    });
    let results = deregister(&elb, &script::invocation("deregister-targets"), &both).await;
    let result = |one| results[&Action::Deregister(one)].result;
    (both.map(result), script.asked())
}

#[tokio::test]
async fn targets_of_a_group_leave_in_one_call_which_is_repeated_while_aws_throttles() {
    let throttled = xml_error(DEREGISTER, 400, "Throttling", "Rate exceeded");
    let (results, asked) = deregistered([throttled, xml(DEREGISTER, "")]).await;
    assert_eq!(results, [ActionResult::Done; 2]);
    let expected = json!({ "TargetGroupArn": TARGETS, "Targets.member.1.Id": "i-1", "Targets.member.1.Port": "80",
        "Targets.member.2.Id": "i-2", "Targets.member.2.Port": "80" });
    assert_eq!(asked, vec![(DEREGISTER.to_owned(), expected); 2]);
}

#[tokio::test]
async fn a_target_group_that_is_gone_has_no_targets() {
    let gone = xml_error(DEREGISTER, 400, "TargetGroupNotFound", "not found");
    let (results, asked) = deregistered([gone]).await;
    assert_eq!((results, asked.len()), ([ActionResult::AlreadyDone; 2], 1));
}

#[tokio::test]
async fn one_target_that_aws_does_not_like_costs_the_other_nothing() {
    let refused = || xml_error(DEREGISTER, 400, "InvalidTarget", "not valid");
    let (results, asked) = deregistered([refused(), refused(), xml(DEREGISTER, "")]).await;
    assert_eq!(results, [ActionResult::Failed, ActionResult::Done]);
    assert_eq!(asked.len(), 3);
}

#[tokio::test]
async fn without_the_permission_nobody_asks_in_halves() {
    let denied = xml_error(DEREGISTER, 403, "AccessDenied", "no");
    let (results, asked) = deregistered([denied]).await;
    assert_eq!((results, asked.len()), ([ActionResult::Failed; 2], 1));
}
