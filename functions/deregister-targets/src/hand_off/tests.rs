//! Which groups are read.

use spot_handoff::autoscaling::groups::{self, GroupOf};
use testbed::script::{self, Answer, Script};

use super::*;

const GROUPS: &str = "DescribeAutoScalingGroups";
const INSTANCES: &str = "DescribeAutoScalingInstances";

fn instance(digit: u8) -> InstanceId {
    format!("i-1234567890abcdef{digit}").parse().expect("an id")
}

fn group(members: &[u8]) -> Answer {
    let member = |digit: &u8| {
        format!(
            "<member><InstanceId>{}</InstanceId><AvailabilityZone>us-east-1a</AvailabilityZone>\
             <LifecycleState>InService</LifecycleState><HealthStatus>Healthy</HealthStatus>\
             <ProtectedFromScaleIn>false</ProtectedFromScaleIn></member>",
            instance(*digit)
        )
    };
    let members: String = members.iter().map(member).collect();
    let group = format!(
        "<member><AutoScalingGroupName>g</AutoScalingGroupName><MinSize>1</MinSize><MaxSize>4</MaxSize>\
         <DesiredCapacity>2</DesiredCapacity><DefaultCooldown>300</DefaultCooldown>\
         <HealthCheckType>EC2</HealthCheckType><CreatedTime>2026-11-24T04:00:00Z</CreatedTime>\
         <AvailabilityZones><member>us-east-1a</member></AvailabilityZones>\
         <Instances>{members}</Instances></member>"
    );
    script::xml(GROUPS, &format!("<AutoScalingGroups>{group}</AutoScalingGroups>"))
}

async fn read(answers: impl IntoIterator<Item = Answer>, named: Option<&str>) -> (Groups, Vec<String>) {
    let script = Script::of(answers);
    let client = aws_sdk_autoscaling::Client::new(&script.sdk());
    let ids = [instance(1), instance(2)];
    let instances = ids.iter().map(|id| (id, named));
    let invocation = script::invocation("deregister-targets");
    let groups = groups::of_instances(&client, &invocation, instances).await;
    (groups, script.actions())
}

#[tokio::test]
async fn a_group_that_is_named_tells_itself_who_is_in_it() {
    let (groups, asked) = read([group(&[1, 3])], Some("g")).await;
    assert_eq!(asked, [GROUPS]);
    assert!(matches!(groups.of_instance(&instance(1)), GroupOf::Some { group, .. } if group.name == "g"));
    assert_eq!(
        groups.of_instance(&instance(2)),
        GroupOf::None,
        "it has left the group"
    );
    let denied = script::xml_error(GROUPS, 403, "AccessDenied", "no");
    let (groups, asked) = read([denied], Some("g")).await;
    assert_eq!(asked, [GROUPS]);
    assert!(matches!(groups.of_instance(&instance(1)), GroupOf::Unknown(_)));
}

#[tokio::test]
async fn of_an_instance_without_a_named_group_auto_scaling_is_asked() {
    let none = script::xml(INSTANCES, "<AutoScalingInstances></AutoScalingInstances>");
    let (groups, asked) = read([none], None).await;
    assert_eq!(asked, [INSTANCES]);
    assert_eq!(groups.of_instance(&instance(1)), GroupOf::None);
}
