use serde_json::json;

use super::*;

fn retarget() -> Retarget {
    let stand_in = |id: &str, zone: &str| StandIn {
        id: id.to_owned(),
        zone: Some(zone.to_owned()),
    };
    let now = "2030-01-02T03:04:05.678Z".parse().unwrap();
    let fleet = vec![
        stand_in("i-aaaaaaaaaaaaaaaaa", "us-east-1b"),
        stand_in("i-bbbbbbbbbbbbbbbbb", "us-east-1c"),
    ];
    Retarget::new(fleet, Some(now))
}

#[test]
fn instance_zone_and_time_are_replaced() {
    let mut event = json!({
        "time": "2027-03-01T04:00:00Z",
        "resources": ["arn:aws:ec2:us-east-1a:instance/i-0123456789abcdef0"],
        "detail": {"instance-id": "i-0123456789abcdef0", "instance-action": "terminate"}
    });
    let mut retarget = retarget();
    retarget.event(&mut event);
    assert_eq!(
        event,
        json!({
            "time": "2030-01-02T03:04:05Z",
            "resources": ["arn:aws:ec2:us-east-1b:instance/i-aaaaaaaaaaaaaaaaa"],
            "detail": {"instance-id": "i-aaaaaaaaaaaaaaaaa", "instance-action": "terminate"}
        })
    );
    assert_eq!(retarget.instances(), ["i-aaaaaaaaaaaaaaaaa"]);
}

#[test]
fn an_ordinary_arn_keeps_its_region() {
    let mut event = json!({
        "resources": ["arn:aws:ec2:us-east-1:111122223333:instance/i-0123456789abcdef0"],
    });
    retarget().event(&mut event);
    assert_eq!(
        event["resources"][0],
        "arn:aws:ec2:us-east-1:111122223333:instance/i-aaaaaaaaaaaaaaaaa"
    );
}

#[test]
fn the_same_instance_is_replaced_the_same_way_in_every_message_of_a_batch() {
    let mut retarget = retarget();
    let body = |id: &str| json!({"detail": {"instance-id": id}}).to_string();
    assert!(retarget.body(&body("i-0123456789abcdef0")).contains("aaaa"));
    assert!(retarget.body(&body("i-0fedcba9876543210")).contains("bbbb"));
    assert!(retarget.body(&body("i-0123456789abcdef0")).contains("aaaa"));
}

#[test]
fn a_body_that_is_no_event_stays_as_it_is() {
    let mut retarget = retarget();
    for body in ["", "EC2: i-0123456789abcdef0", "[1]", "\"text\""] {
        assert_eq!(retarget.body(body), body);
    }
}

#[test]
fn the_times_of_a_health_event_move_along() {
    let mut event = json!({
        "time": "2027-02-15T06:27:57Z",
        "detail": {"startTime": "Mon, 01 Mar 2027 04:00:00 GMT"}
    });
    retarget().event(&mut event);
    // 13 days, 21 hours, 32 minutes and 3 seconds after the event, as before.
    assert_eq!(event["detail"]["startTime"], "Wed, 16 Jan 2030 00:36:08 GMT");
}

#[test]
fn without_a_new_time_the_event_keeps_its_own() {
    let mut event = json!({"time": "2024-03-01T04:00:00Z", "detail": {}});
    Retarget::new(vec![], None).event(&mut event);
    assert_eq!(event["time"], "2024-03-01T04:00:00Z");
}
