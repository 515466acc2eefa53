//! Which of the targets found have to stay for now.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::{SignedDuration, Timestamp};
use spot_handoff::autoscaling::policies::KeepHealthy;
use spot_handoff::elb::health::{State, TargetHealth};
use spot_handoff::elb::holding::{self, Balancer, Doomed, Held, Seen, Verdict};
use spot_handoff::notice::Notice;
use spot_handoff::report::HeldLine;
use spot_handoff::state::under_notice::{News, UnderNotice};

use super::{Action, Deregistration, Plan, deregistrations, serves_until};

/// Looks come by messages whose delay has whole seconds. A moment that is nearer than this has come.
const NEAR: SignedDuration = SignedDuration::from_secs(1);

/// What is known when it is decided.
#[derive(Debug)]
pub struct Facts<'a> {
    /// What is registered.
    pub health: &'a TargetHealth,
    /// Who sends requests, by target group.
    pub balancers: &'a HashMap<String, Balancer>,
    /// The deregistration delays that are known.
    pub delays: &'a HashMap<String, SignedDuration>,
    /// The share that has to stay, by target group.
    pub keep_healthy: &'a HashMap<String, KeepHealthy>,
    /// What is under notice, by target group: in the table, or as far as this batch knows.
    pub under_notice: &'a HashMap<String, UnderNotice>,
    /// Now.
    pub now: Timestamp,
}

/// What the batch has to write down about each target group before anything is taken away.
///
/// A whole instance is doomed in a target group, on whatever port: its other targets there go with it.
pub fn news(notices: &[Notice], plans: &[Plan], health: &TargetHealth) -> Vec<News> {
    let mut doomed: BTreeMap<&str, Vec<Doomed>> = BTreeMap::new();
    for (notice, plan) in notices.iter().zip(plans) {
        for one in deregistrations(plan) {
            let whole = Doomed {
                id: one.target.id.clone(),
                port: None,
                serves_until: serves_until(notice),
                order: 0,
            };
            let list = doomed.entry(&one.target_group).or_default();
            if !list.contains(&whole) {
                list.push(whole);
            }
        }
    }
    let of_target_group = |(target_group, doomed): (&str, Vec<Doomed>)| News {
        target_group: target_group.to_owned(),
        doomed,
        serving: health
            .get(target_group)
            .and_then(|registered| registered.as_ref().ok())
            .map_or(0, |registered| holding::serving_count(registered)),
    };
    doomed.into_iter().map(of_target_group).collect()
}

/// What is under notice in a target group where the table does not tell: what the batch knows itself. What drains may
/// have left for a notice, and counts among what served before.
pub fn without_table(news: &News, health: &TargetHealth, now: Timestamp) -> UnderNotice {
    let mut item = UnderNotice::nothing(&news.target_group);
    let registered = health.get(&news.target_group).and_then(|one| one.as_ref().ok());
    let draining = registered
        .into_iter()
        .flatten()
        .filter(|one| one.state == State::Draining);
    item.add(&news.doomed, news.serving + draining.count(), now);
    item
}

/// The target groups of which something has to stay, so that it matters how long their targets drain.
pub fn contested(facts: &Facts<'_>) -> BTreeSet<String> {
    facts
        .under_notice
        .keys()
        .filter(|target_group| {
            let verdicts = facts.decide(target_group, Some(SignedDuration::ZERO));
            verdicts.values().any(|verdict| verdict.held().is_some())
        })
        .cloned()
        .collect()
}

/// Takes back what has to stay: it is held.
pub fn hold(plans: &mut [Plan], facts: &Facts<'_>) {
    let target_groups: BTreeSet<String> = plans
        .iter()
        .flat_map(deregistrations)
        .map(|one| one.target_group.clone())
        .collect();
    let verdicts: HashMap<&String, _> = target_groups
        .iter()
        .map(|target_group| {
            let delay = facts.delays.get(target_group).copied();
            (target_group, facts.decide(target_group, delay))
        })
        .collect();
    let held = |one: &Deregistration| -> Option<Held> {
        let verdict: &Verdict = verdicts.get(&one.target_group)?.get(&one.target)?;
        verdict.held()
    };
    for plan in plans {
        let actions = std::mem::take(&mut plan.actions);
        for action in actions {
            let stays = match &action {
                Action::Deregister(one) => held(one).map(|held| line(one, held)),
                Action::Look(_) => None,
            };
            match stays {
                Some(line) => plan.held.push(line),
                None => plan.actions.push(action),
            }
        }
    }
}

impl Facts<'_> {
    fn decide(
        &self,
        target_group: &str,
        delay: Option<SignedDuration>,
    ) -> BTreeMap<spot_handoff::elb::health::Target, Verdict> {
        let registered = self.health.get(target_group).and_then(|one| one.as_ref().ok());
        let (Some(registered), Some(under_notice)) = (registered, self.under_notice.get(target_group)) else {
            return BTreeMap::new();
        };
        let balancer = self.balancers.get(target_group).copied();
        holding::decide(&Seen {
            balancer: balancer.unwrap_or(Balancer::Application),
            keep_healthy: self.keep_healthy.get(target_group).copied().unwrap_or_default(),
            deregistration_delay: delay,
            registered,
            doomed: &under_notice.doomed(),
            served_before: under_notice.served_before(self.now),
            now: self.now.saturating_add(NEAR).unwrap_or(self.now),
        })
    }
}

fn line(one: &Deregistration, held: Held) -> HeldLine {
    HeldLine {
        target_group: one.target_group.clone(),
        target: one.words(),
        until: held.until,
        staying: held.staying,
        needed: held.needed,
        reason: held.to_string(),
    }
}
