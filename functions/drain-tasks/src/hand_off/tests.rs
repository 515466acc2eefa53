//! Where looks search for instances.

use serde_json::{Value, json};
use testbed::script::{self, Answer, Script};

use super::*;

const DESCRIBE: &str = "DescribeContainerInstances";
const LIST: &str = "ListContainerInstances";
const CLUSTER: &str = "arn:aws:ecs:us-east-1:1:cluster/web";

fn instance(digit: u8) -> InstanceId {
    format!("i-1234567890abcdef{digit}").parse().expect("an id")
}

/// The container instance of an instance, as ECS describes it.
fn registered(id: &str, digit: u8, status: &str, connected: bool) -> Value {
    json!({
        "containerInstanceArn": format!("arn:aws:ecs:us-east-1:1:container-instance/web/{id}"),
        "ec2InstanceId": instance(digit).as_str(), "status": status, "agentConnected": connected,
    })
}

fn described(found: &[Value]) -> Answer {
    script::json(DESCRIBE, &json!({ "containerInstances": found }))
}

fn listed(ids: &[&str]) -> Answer {
    script::json(LIST, &json!({ "containerInstanceArns": ids }))
}

/// The ids that are found for the first two instances, and the calls. The instances were registered as `a` and `b`.
async fn found(clusters: &[&str], answers: impl IntoIterator<Item = Answer>) -> (Vec<String>, Vec<String>) {
    let script = Script::of(answers);
    let ecs = aws_sdk_ecs::Client::new(&script.sdk());
    let known = ["a", "b"].map(|id| {
        [Registered {
            cluster: CLUSTER.to_owned(),
            container_instance: id.to_owned(),
            draining_with: None,
        }]
    });
    let instances = [instance(1), instance(2)];
    let wanted = instances.iter().zip(known.iter().map(<[_; 1]>::as_slice));
    let clusters: Vec<String> = clusters.iter().map(ToString::to_string).collect();
    let invocation = script::invocation("drain-tasks");
    let found = container_instances::find_again(&ecs, &invocation, Some(&clusters), &wanted.collect()).await;
    let mut ids: Vec<String> = found.all().map(|one| one.id().to_owned()).collect();
    ids.sort();
    (ids, script.actions())
}

#[tokio::test]
async fn a_look_asks_for_what_it_knows_in_one_call() {
    let both = described(&[
        registered("a", 1, "DRAINING", true),
        registered("b", 2, "ACTIVE", true),
    ]);
    let (ids, asked) = found(&[CLUSTER], [both]).await;
    assert_eq!(
        (ids, asked),
        (vec!["a".to_owned(), "b".to_owned()], vec![DESCRIBE.to_owned()])
    );
}

#[tokio::test]
async fn what_is_not_where_it_was_is_searched_for() {
    let a = || registered("a", 1, "DRAINING", true);
    let anew = || [listed(&["c"]), described(&[registered("c", 2, "ACTIVE", true)])];
    let searched = [DESCRIBE, LIST, DESCRIBE].map(str::to_owned).to_vec();
    for (why, first) in [
        (
            "it is deregistered",
            described(&[a(), registered("b", 2, "INACTIVE", false)]),
        ),
        ("ECS has forgotten it", described(&[a()])),
        (
            "its agent is not there: it may have registered anew",
            described(&[a(), registered("b", 2, "DRAINING", false)]),
        ),
    ] {
        let answers = [first].into_iter().chain(anew());
        let (ids, asked) = found(&[CLUSTER], answers).await;
        assert_eq!(
            (ids, &asked),
            (vec!["a".to_owned(), "c".to_owned()], &searched),
            "{why}"
        );
    }
    // It is found nowhere else, so what is known stays.
    let lost = described(&[a(), registered("b", 2, "DRAINING", false)]);
    let (ids, _) = found(&[CLUSTER], [lost, listed(&[])]).await;
    assert_eq!(ids, ["a", "b"]);
    // A cluster that cannot be read, and one that the owner has removed from the list since.
    let refused = script::json_error(DESCRIBE, 400, "AccessDeniedException", "no");
    let (ids, asked) = found(&[CLUSTER], [refused].into_iter().chain(anew())).await;
    assert_eq!((ids, asked), (vec!["c".to_owned()], searched));
    let (ids, asked) = found(&["another"], anew()).await;
    assert_eq!(
        (ids, asked),
        (vec!["c".to_owned()], [LIST, DESCRIBE].map(str::to_owned).to_vec())
    );
}
