//! Whether spot-handoff is deployed: whether a rule of spot-handoff takes interruption warnings.

use aws_config::SdkConfig;
use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::types::{Rule, RuleState};

use super::reading::Reader;
use crate::commands::signals::Signal;

/// Only the rules of template.yaml name this source; with Drills=off they do not.
const OWN_SOURCE: &str = "spot-handoff.drill";
/// Only template.yaml has this detail-type in one rule with the warnings for Spot Instances.
const BESIDE_IT: &str = "EC2 Capacity Reservation Instance Interruption Warning";

/// Whether the rules of template.yaml are there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Deployment {
    /// The rules take interruption warnings.
    Deployed,
    /// The rules exist, but are disabled.
    Disabled,
    /// There are none.
    Missing,
    /// The call to EventBridge failed.
    #[default]
    Unknown,
}

/// Looks through the rules of the default bus.
pub async fn read(config: &SdkConfig, reader: &Reader) -> Deployment {
    let client = Client::new(config);
    let mut rules = vec![];
    let mut next = None;
    loop {
        let asking = client.list_rules().set_next_token(next).send();
        let Some(answer) = reader.call("", "ListRules", asking).await else {
            return Deployment::Unknown;
        };
        rules.extend(answer.rules.unwrap_or_default());
        next = answer.next_token;
        if next.is_none() {
            return of(&rules);
        }
    }
}

fn of(rules: &[Rule]) -> Deployment {
    let own: Vec<&Rule> = rules
        .iter()
        .filter(|rule| {
            let pattern = rule.event_pattern().unwrap_or_default();
            pattern.contains(Signal::InterruptionWarning.detail_type())
                && (pattern.contains(OWN_SOURCE) || pattern.contains(BESIDE_IT))
        })
        .collect();
    let off = |rule: &&Rule| rule.state() == Some(&RuleState::Disabled);
    match (own.is_empty(), own.iter().all(off)) {
        (true, _) => Deployment::Missing,
        (false, true) => Deployment::Disabled,
        (false, false) => Deployment::Deployed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_rule_for_warnings_that_is_as_in_the_template_is_ours() {
        let rule = |pattern: &str, state| Rule::builder().event_pattern(pattern).state(state).build();
        let ours = r#"{"source": ["aws.ec2", "spot-handoff.drill"], "detail-type": ["EC2 Spot Instance Interruption Warning"]}"#;
        let theirs = r#"{"source": ["aws.ec2"], "detail-type": ["EC2 Spot Instance Interruption Warning"]}"#;
        let on = RuleState::Enabled;
        let off = RuleState::Disabled;
        let without_drills = r#"{"source": ["aws.ec2"], "detail-type": ["EC2 Spot Instance Interruption Warning",
            "EC2 Capacity Reservation Instance Interruption Warning"]}"#;
        assert_eq!(of(&[]), Deployment::Missing);
        assert_eq!(of(&[rule(without_drills, on.clone())]), Deployment::Deployed);
        assert_eq!(of(&[rule(theirs, on.clone())]), Deployment::Missing);
        assert_eq!(of(&[rule(ours, off.clone())]), Deployment::Disabled);
        assert_eq!(of(&[rule(ours, off), rule(ours, on)]), Deployment::Deployed);
    }
}
