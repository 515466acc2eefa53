//! Which of the found targets have to stay for now.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use spot_handoff::elb::health::TargetHealth;
use spot_handoff::elb::holding::{Doomed, Held, Verdict};
use spot_handoff::keeper::{self, Facts};
use spot_handoff::notice::Notice;
use spot_handoff::state::under_notice::News;

use super::find::StopMoments;
use super::{Action, Deregistration, Plan, deregistrations, serves_until};

/// What the batch has to write about each target group before it takes anything away.
///
/// An instance is doomed with all its ports: all its targets in the target group go with it. If a task is stopped
/// earlier, its target ends earlier.
pub fn news(notices: &[Notice], plans: &[Plan], health: &TargetHealth, stops: &StopMoments) -> Vec<News> {
    let mut doomed: BTreeMap<&str, Vec<Doomed>> = BTreeMap::new();
    for (notice, plan) in notices.iter().zip(plans) {
        for one in deregistrations(plan) {
            let whole = Doomed {
                id: one.target.id.clone(),
                port: None,
                serves_until: serves_until(notice),
                as_last: None,
                order: 0,
            };
            let key = (one.target_group.clone(), one.target.clone());
            let task = stops.get(&key).map(|stopped| Doomed {
                port: one.target.port,
                serves_until: Some(stopped.at),
                as_last: stopped.as_last,
                ..whole.clone()
            });
            let list = doomed.entry(&one.target_group).or_default();
            for one in std::iter::once(whole).chain(task) {
                if !list.contains(&one) {
                    list.push(one);
                }
            }
        }
    }
    let of_target_group = |(target_group, doomed): (&str, Vec<Doomed>)| News {
        target_group: target_group.to_owned(),
        doomed,
        serving: keeper::serving(health, target_group),
    };
    doomed.into_iter().map(of_target_group).collect()
}

/// Takes targets that have to stay out of the plans: they are held.
pub fn hold(plans: &mut [Plan], facts: &Facts<'_>) {
    let target_groups: BTreeSet<String> = plans
        .iter()
        .flat_map(deregistrations)
        .map(|one| one.target_group.clone())
        .collect();
    let verdicts: HashMap<&String, _> = target_groups
        .iter()
        .map(|target_group| (target_group, facts.verdicts(target_group)))
        .collect();
    let held = |one: &Deregistration| -> Option<Held> {
        let verdict: &Verdict = verdicts.get(&one.target_group)?.get(&one.target)?;
        verdict.held()
    };
    for plan in plans {
        let actions = std::mem::take(&mut plan.actions);
        for action in actions {
            let stays = match &action {
                Action::Deregister(one) => {
                    held(one).map(|held| keeper::held_line(&one.target_group, one.words(), held))
                }
                Action::Register(_) | Action::Look(_) => None,
            };
            match stays {
                Some(line) => plan.held.push(line),
                None => plan.actions.push(action),
            }
        }
    }
}
