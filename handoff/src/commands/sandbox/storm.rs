//! A storm in the sandbox: AWS takes instances, one after the other.

use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};
use testbed::state::Member;
use testbed::{State, Testbed};
use uuid::Uuid;

use crate::style;
use crate::words::count;

/// The time between two warnings.
const PAUSE: Duration = Duration::from_secs(20);
/// The time from an instance's recommendation to its warning, if it gets a recommendation.
const AHEAD: Duration = Duration::from_secs(5);
/// One in this many instances gets a recommendation before its warning. The same number of other instances get a
/// recommendation but no warning.
const RECOMMENDED: u32 = 4;
/// How long the hand-offs may take, in real time.
const PATIENCE: Duration = Duration::from_secs(1800);

/// Makes AWS take this many instances, and waits until all are handed off.
pub async fn pass(bed: &Testbed, instances: u32) -> Result<()> {
    if instances == 0 {
        return Ok(());
    }
    let what = count(instances.into(), "instance");
    anstream::eprintln!("{}", style::dim(&format!("AWS takes {what}, one every 20 s")));
    for number in 0..instances {
        let state = bed.world.state().await?;
        let Some((taken, other)) = chosen(&state, number) else {
            break;
        };
        if number % RECOMMENDED == 0 {
            for instance in [&taken, &other] {
                let detail = json!({ "instance-id": instance });
                bed.put_event(&event(bed, "EC2 Instance Rebalance Recommendation", &detail))
                    .await?;
            }
            pause(bed, AHEAD).await;
        }
        let detail = json!({ "instance-id": taken, "instance-action": "terminate" });
        bed.put_event(&event(bed, "EC2 Spot Instance Interruption Warning", &detail))
            .await?;
        pause(bed, PAUSE).await;
    }
    bed.until_settled(PATIENCE).await
}

/// The instance to take, and another one. The groups take turns, but most instances are from the first group, so that
/// its pool stands out.
fn chosen(state: &State, number: u32) -> Option<(String, String)> {
    let number = usize::try_from(number).ok()?;
    let serves = |member: &&Member| member.lifecycle == "InService";
    let groups: Vec<Vec<&Member>> = state
        .groups
        .iter()
        .filter(|group| !group.tags.contains_key("spot-handoff:ignore"))
        .map(|group| group.instances.iter().filter(serves).collect())
        .filter(|members: &Vec<&Member>| members.len() > 1)
        .collect();
    let turn = if number % 2 == 0 { 0 } else { number };
    let members = groups.get(turn % groups.len().max(1))?;
    let first = members.first()?;
    let last = members.last()?;
    Some((first.id.clone(), last.id.clone()))
}

async fn pause(bed: &Testbed, time: Duration) {
    tokio::time::sleep(bed.world.clock().real_span(time)).await;
}

fn event(bed: &Testbed, detail_type: &str, detail: &Value) -> Value {
    json!({
        "version": "0",
        "id": Uuid::new_v4().to_string(),
        "detail-type": detail_type,
        "source": "aws.ec2",
        "account": "123456789012",
        "time": format!("{:.0}", bed.world.clock().now()),
        "region": "us-east-1",
        "resources": [],
        "detail": detail,
    })
}
