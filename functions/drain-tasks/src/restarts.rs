//! Restarts by AWS. The table has what is known about each; [`crate::plan::restart`] decides.

use std::collections::{BTreeSet, HashMap};

use spot_handoff::autoscaling::groups::{self, GroupOf};
use spot_handoff::ecs::container_instances;
use spot_handoff::notice::{InstanceId, Notice, Signal};
use spot_handoff::report::Report;
use spot_handoff::report::plan::{Results, to_carry_out};
use spot_handoff::runtime::aws::CallError;
use spot_handoff::runtime::invocation::{Invocation, together};
use spot_handoff::state::restarts::Restart;
use spot_handoff::state::{Expected, Item, Key, Versioned, Written};

use crate::config::Config;
use crate::effects::{self, Clients, has_failed};
use crate::plan::restart::{self, Seen};
use crate::plan::{Action, Plan, Skip};
use crate::policies::Policies;

/// The items of the table, by key.
type Known = HashMap<Key, Versioned<Restart>>;

/// Handles the restarts of the notices: first announcements, updates and looks.
pub async fn see_to(
    clients: &Clients,
    config: &Config,
    invocation: &Invocation,
    notices: &[&Notice],
) -> Vec<Report> {
    if notices.is_empty() {
        return vec![];
    }
    let ids: BTreeSet<InstanceId> = notices.iter().map(|notice| notice.instance.clone()).collect();
    let ids: Vec<InstanceId> = ids.into_iter().collect();
    let (known, groups, found) = tokio::join!(
        read(clients, invocation, notices),
        groups::read(&clients.autoscaling, invocation, &ids, &[]),
        container_instances::find(&clients.ecs, invocation, config.clusters.as_deref(), &ids),
    );
    let now = invocation.clock.now();
    let mut news: HashMap<Key, Restart> = HashMap::new();
    let (mut plans, mut planned_only): (Vec<Plan>, Vec<bool>) = (vec![], vec![]);
    let mut nexts: Vec<Option<Restart>> = vec![];
    for notice in notices {
        let group = groups.of_instance(&notice.instance);
        let policy_of = match &group {
            GroupOf::Some { group, .. } => Some(*group),
            GroupOf::None | GroupOf::Unknown(_) => None,
        };
        let is_planned_only = invocation.dry_run || Policies::of(policy_of, config).planned_only;
        planned_only.push(is_planned_only);
        let key = key(notice);
        let before = known.as_ref().map(|known| {
            let of_table = known.get(&key).map(|versioned| &versioned.item);
            news.get(&key).or(of_table)
        });
        let (plan, next) = match (out_of_scope(notice, &group, config), before) {
            (Some(skip), _) => (Plan::nothing(&notice.instance, skip), None),
            (None, Err(error)) => (problem(error), None),
            (None, Ok(_)) if found.why_not_found(&notice.instance).is_some() => {
                let why = found.why_not_found(&notice.instance).map(problem);
                (why.unwrap_or_default(), None)
            }
            (None, Ok(before)) => {
                let seen = Seen {
                    group: &group,
                    on: found.of_instance(&notice.instance),
                    now,
                };
                restart::plan(notice, before, seen)
            }
        };
        if let Some(next) = next.clone().filter(|_| !is_planned_only) {
            news.insert(key, next);
        }
        plans.push(plan);
        nexts.push(next);
    }
    let acted_on = to_carry_out(&plans, &planned_only);
    let acting = notices.iter().zip(acted_on.iter());
    let asked: Vec<(&Notice, &Action)> = acting
        .flat_map(|(notice, plan)| plan.actions.iter().map(move |action| (*notice, action)))
        .collect();
    // The message first: without it, nobody would act on the item in the table.
    let results: Results<Action> = effects::send(clients, config, invocation, &asked)
        .await
        .into_iter()
        .collect();
    drop(asked);
    drop(acted_on);
    let failed = |plan: &Plan| has_failed(plan, &results);
    // If a message could not be sent, it is sent when the notice comes back.
    for (notice, _) in notices.iter().zip(&plans).filter(|(_, plan)| failed(plan)) {
        news.remove(&key(notice));
    }
    let written = write(clients, invocation, known.as_ref().ok(), news).await;
    for ((notice, plan), next) in notices.iter().zip(&mut plans).zip(&nexts) {
        let unwritten = written.get(&key(notice)).filter(|_| next.is_some());
        if let Some(error) = unwritten.filter(|_| !failed(plan)) {
            plan.problems.push(error.clone());
        }
    }
    let reports = notices.iter().zip(plans.iter().zip(planned_only));
    reports
        .map(|(notice, (plan, planned_only))| {
            let report = invocation.with(planned_only).report(notice, plan, &results);
            report.in_pool(groups.pool_of(&notice.instance))
        })
        .collect()
}

fn problem(error: &CallError) -> Plan {
    Plan {
        problems: vec![error.to_string()],
        ..Plan::default()
    }
}

fn key(notice: &Notice) -> Key {
    Restart::key_of(&notice.instance, restart::change(notice).unwrap_or_default())
}

/// A look is about an instance that was in scope when the restart was announced.
fn out_of_scope(notice: &Notice, group: &GroupOf<'_>, config: &Config) -> Option<Skip> {
    let admitted = match (&notice.signal, group) {
        (Signal::FollowUp(_), _) | (_, GroupOf::Unknown(_)) => Ok(()),
        (_, GroupOf::None) => config.scope.admits(None),
        (_, GroupOf::Some { group, .. }) => config.scope.admits(Some(group)),
    };
    admitted.err().map(Skip::OutOfScope)
}

async fn read(clients: &Clients, invocation: &Invocation, notices: &[&Notice]) -> Result<Known, CallError> {
    let keys: BTreeSet<Key> = notices.iter().map(|notice| key(notice)).collect();
    let keys: Vec<Key> = keys.into_iter().collect();
    let found = clients.table.get_all::<Restart>(invocation, &keys).await?;
    let by_key = found.into_iter().map(|one| (one.item.key(), one));
    Ok(by_key.collect())
}

/// Writes what is new. Returns an error for each item that could not be written.
async fn write(
    clients: &Clients,
    invocation: &Invocation,
    known: Option<&Known>,
    news: HashMap<Key, Restart>,
) -> HashMap<Key, String> {
    let writes = news.into_iter().map(|(key, new)| async move {
        let expected = match known.and_then(|known| known.get(&key)) {
            Some(known) => Expected::Version(known.version),
            None => Expected::Nothing,
        };
        let why = match clients.table.write(invocation, &new, expected).await {
            Ok(Written::Yes(_)) => None,
            Ok(Written::Conflict) => Some("somebody else wrote about this restart meanwhile".to_owned()),
            Err(error) => Some(error.to_string()),
        };
        (key, why)
    });
    let written = together(writes).await.into_iter();
    written.filter_map(|(key, why)| Some((key, why?))).collect()
}
