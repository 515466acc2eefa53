use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_ecs::config::{BehaviorVersion, Credentials, Region};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use serde_json::{Value, json};

use super::*;
use crate::ecs::container_instances::Status;
use crate::notice::InstanceId;
use crate::runtime::clock::Clock;

const ON: &str = "arn:aws:ecs:us-east-1:123456789012:container-instance/c/1";
const TASK: &str = "arn:aws:ecs:us-east-1:123456789012:task/c/1";

/// An ECS with one task on one container instance. The task is told to stop right after the first listing of stopping
/// tasks, and the listing of running tasks takes longer than that.
#[derive(Debug, Clone, Default)]
struct Stopping(Arc<Mutex<bool>>);

impl Stopping {
    fn desired(&self) -> &'static str {
        if *self.0.lock().expect("a lock") {
            "STOPPED"
        } else {
            "RUNNING"
        }
    }

    async fn answer(self, action: String, asked: Value) -> Value {
        if action.ends_with("DescribeTasks") {
            let known = asked["tasks"].as_array().expect("ARNs").iter();
            let task =
                |arn: &Value| json!({"taskArn": arn, "containerInstanceArn": ON, "lastStatus": "RUNNING"});
            return json!({"tasks": known.map(task).collect::<Vec<_>>()});
        }
        let status = asked["desiredStatus"].as_str().expect("a status");
        if status == "RUNNING" {
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
        }
        let listed: &[&str] = if self.desired() == status { &[TASK] } else { &[] };
        *self.0.lock().expect("a lock") |= status == "STOPPED";
        json!({"taskArns": listed})
    }
}

impl HttpConnector for Stopping {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let action = request
            .headers()
            .get("x-amz-target")
            .unwrap_or_default()
            .to_owned();
        let asked = serde_json::from_slice(request.body().bytes().unwrap_or_default()).expect("JSON");
        let answering = self.clone().answer(action, asked);
        HttpConnectorFuture::new(async move {
            let body = SdkBody::from(answering.await.to_string());
            Ok(HttpResponse::new(200.try_into().expect("a status"), body))
        })
    }
}

fn client(ecs: Stopping) -> Client {
    let configuration = aws_sdk_ecs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static("us-east-1"))
        .credentials_provider(Credentials::new("key", "secret", None, None, "test"))
        .http_client(http_client_fn(move |_, _| SharedHttpConnector::new(ecs.clone())))
        .build();
    Client::from_conf(configuration)
}

#[tokio::test]
async fn a_task_that_is_told_to_stop_between_two_listings_is_not_lost() {
    let on = ContainerInstance {
        arn: ON.to_owned(),
        cluster: "c".to_owned(),
        instance: "i-1234567890abcdef0".parse::<InstanceId>().expect("an id"),
        status: Status::Draining,
        agent_connected: true,
        registered_at: None,
        capacity_provider: None,
        is_managed: false,
        tasks: 1,
    };
    let ecs = Stopping::default();
    let invocation = Invocation::new("test", Clock::real(), false, Duration::from_secs(60));
    for moved in [false, true] {
        assert_eq!(ecs.desired() == "STOPPED", moved);
        let client = client(ecs.clone());
        let found = self::on(
            &client,
            &invocation,
            &[&on],
            &Sizes::new(),
            Looking::ForAllNotGone,
        )
        .await;
        let tasks = found[ON].as_ref().expect("the tasks");
        let arns: Vec<_> = tasks.iter().filter_map(Task::task_arn).collect();
        assert_eq!(arns, [TASK], "told to stop before: {moved}");
    }
}

#[test]
fn few_instances_are_asked_one_by_one_and_many_through_their_cluster() {
    assert!(
        asking_each_is_cheaper(11, 20, 10_000),
        "eleven of a cluster of thousands"
    );
    assert!(!asking_each_is_cheaper(200, 400, 400), "a whole cluster");
    assert!(!asking_each_is_cheaper(11, 0, 0), "an empty cluster");
}

#[test]
fn only_the_group_tells_a_service_task() {
    let task = |group: &str| Task::builder().group(group).started_by("ecs-svc/1").build();
    assert_eq!(service_of(&task("service:web")), Some("web"));
    assert_eq!(service_of(&task("family:job")), None);
}
