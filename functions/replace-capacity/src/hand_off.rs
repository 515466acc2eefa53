//! Handles one batch: facts, plan, table, effects.
//!
//! Interruptions and exchanges run at the same time, so that interruptions do not wait for the reads of exchanges. For
//! exchanges, the table is written first. If another invocation has written meanwhile, the group is read and decided
//! again.

mod desired;
mod watch;

use std::collections::{BTreeMap, BTreeSet};

use aws_types::SdkConfig;
use spot_handoff::exchange::Exchanges;
use spot_handoff::lambda::Function;
use spot_handoff::notice::{LaunchFailed, Notice};
use spot_handoff::report::Pool;
use spot_handoff::report::Report;
use spot_handoff::report::plan::Results;
use spot_handoff::runtime::aws::{self, CallCounter};
use spot_handoff::runtime::config::{ConfigError, Env};
use spot_handoff::runtime::invocation::{Invocation, together};
use spot_handoff::state::{Expected, Written};

use crate::clients::Clients;
use crate::config::Config;
use crate::effects::{self, Aws};
use crate::facts::{self, Facts, ends_in_two_minutes};
use crate::plan::watch::Asked;
use crate::plan::{self, Action, Plan, Planned};

/// How often a group is decided again because another invocation has written its item. Only a few invocations decide
/// about a group at the same time, and each writes it once.
const DECIDED_ANEW: usize = 8;

/// The function, with what it keeps between invocations.
pub struct ReplaceCapacity {
    config: Config,
    clients: Clients,
}

impl Function for ReplaceCapacity {
    const NAME: &'static str = "replace-capacity";

    fn new(env: &Env, sdk: &SdkConfig, counter: CallCounter) -> Result<Self, ConfigError> {
        Ok(Self {
            config: Config::read(env)?,
            clients: Clients::new(env, sdk, counter)?,
        })
    }

    async fn hand_off(&self, notices: &[Notice], invocation: &Invocation) -> Vec<Report> {
        let (looks, about_instances): (Vec<usize>, Vec<usize>) =
            (0..notices.len()).partition(|index| Asked::of(&notices[*index]).is_some());
        let (urgent, others): (Vec<usize>, Vec<usize>) = about_instances
            .into_iter()
            .partition(|index| ends_in_two_minutes(&notices[*index]));
        let of = |indexes: &[usize]| -> Vec<Notice> {
            indexes.iter().map(|index| notices[*index].clone()).collect()
        };
        let (urgent_notices, other_notices, look_notices) = (of(&urgent), of(&others), of(&looks));
        let (urgent_done, others_done, looked) = tokio::join!(
            self.carry_through(&urgent_notices, notices, invocation),
            self.carry_through(&other_notices, notices, invocation),
            self.watch(&look_notices, invocation),
        );
        let indexes = urgent.into_iter().chain(others).chain(looks);
        let reports = urgent_done.into_iter().chain(others_done).chain(looked);
        let mut done: Vec<(usize, Report)> = indexes.zip(reports).collect();
        done.sort_by_key(|(index, _)| *index);
        done.into_iter().map(|(_, report)| report).collect()
    }

    async fn launches_failed(
        &self,
        launches: &[&LaunchFailed],
        invocation: &Invocation,
    ) -> Result<(), aws::CallError> {
        self.look_sooner(launches, invocation).await
    }
}

impl ReplaceCapacity {
    /// Reads, decides, writes and carries out. Returns one report for each notice, in their order. `batch` are all
    /// notices that came together.
    async fn carry_through(
        &self,
        notices: &[Notice],
        batch: &[Notice],
        invocation: &Invocation,
    ) -> Vec<Report> {
        if notices.is_empty() {
            return vec![];
        }
        let groups = facts::groups_of(&self.clients, invocation, notices).await;
        let (facts, unwatched) = tokio::join!(
            facts::read(&self.clients, &self.config, invocation, notices, groups.clone()),
            self.begin_watches(notices, &groups, invocation),
        );
        let planned = self.plan(notices, batch, &facts, invocation);
        if invocation.dry_run {
            let none = Results::new();
            let plans = notices.iter().zip(planned.plans.iter().zip(&planned.pools));
            let report = |(notice, (plan, pool)): (&Notice, (&Plan, &Option<Pool>))| {
                invocation.report(notice, plan, &none).in_pool(pool.as_ref())
            };
            return plans.map(report).collect();
        }
        let gated: BTreeSet<&String> = planned.gates.iter().flatten().collect();
        let free = chosen(notices, &planned, None);
        let (done_at_once, (), done_later) = tokio::join!(
            self.carry_out(free, invocation),
            self.remember_apart(&planned, invocation),
            together(gated.into_iter().map(|group| {
                let (facts, planned) = (facts.clone(), &planned);
                self.carry_out_in_turn(group, notices, batch, facts, planned, invocation)
            })),
        );
        let mut reports: BTreeMap<usize, Report> = done_at_once.into_iter().collect();
        reports.extend(done_later.into_iter().flatten());
        self.begin_late(&unwatched, notices, &mut reports, invocation)
            .await;
        reports.into_values().collect()
    }

    fn plan(&self, notices: &[Notice], batch: &[Notice], facts: &Facts, invocation: &Invocation) -> Planned {
        plan::plans(notices, batch, facts, &self.config, invocation.clock.now())
    }

    /// Writes what only has to be recorded, without delaying anything: that a warning came.
    async fn remember_apart(&self, planned: &Planned, invocation: &Invocation) {
        let is_gated = |group: &String| planned.gates.iter().flatten().any(|gate| gate == group);
        let apart = planned.items.iter().filter(|(group, _)| !is_gated(group));
        let writes = together(apart.map(|(_, (item, expected))| async {
            self.clients
                .table
                .write(&invocation.briefly(), item, *expected)
                .await
        }));
        for write in writes.await {
            if let Err(error) = write {
                tracing::warn!("cannot remember that a warning came: {error}");
            }
        }
    }

    /// Handles the notices about the exchanges of one group: first writes, then carries out.
    async fn carry_out_in_turn(
        &self,
        group: &str,
        notices: &[Notice],
        batch: &[Notice],
        mut facts: Facts,
        planned: &Planned,
        invocation: &Invocation,
    ) -> Vec<(usize, Report)> {
        let mut chosen = chosen(notices, planned, Some(group));
        let mut item = planned.items.get(group).cloned();
        for _ in 0..DECIDED_ANEW {
            match self.remember(item.as_ref(), invocation).await {
                Ok(Written::Yes(version)) => {
                    let sets = |action: &Action| matches!(action, Action::SetDesired { .. });
                    let sets_any = chosen.iter().any(|one| one.plan.actions.iter().any(sets));
                    let done = self.carry_out(chosen, invocation).await;
                    if let (true, Some((item, _))) = (sets_any, item) {
                        self.end_turn(item, version, invocation).await;
                    }
                    return done;
                }
                Ok(Written::Conflict) => {}
                Err(error) => {
                    facts.items.insert(group.to_owned(), Err(error));
                    break;
                }
            }
            let own: Vec<Notice> = chosen.iter().map(|one| one.notice.clone()).collect();
            let (groups, items) = tokio::join!(
                facts::groups_of(&self.clients, invocation, &own),
                facts::items(&self.clients, invocation, [group.to_owned()]),
            );
            facts.groups = groups;
            facts.items.extend(items);
            let anew = self.plan(&own, batch, &facts, invocation);
            item = anew.items.get(group).cloned();
            for (one, plan) in chosen.iter_mut().zip(anew.plans) {
                one.plan = plan;
            }
        }
        // The table does not answer. An interruption goes on without it; all others come back.
        let own: Vec<Notice> = chosen.iter().map(|one| one.notice.clone()).collect();
        let without = self.plan(&own, batch, &facts, invocation);
        for (one, plan) in chosen.iter_mut().zip(without.plans) {
            one.plan = plan;
        }
        self.carry_out(chosen, invocation).await
    }

    async fn remember(
        &self,
        item: Option<&(Exchanges, Expected)>,
        invocation: &Invocation,
    ) -> Result<Written, aws::CallError> {
        match item {
            None => Ok(Written::Yes(0)),
            Some((item, expected)) => self.clients.table.write(invocation, item, *expected).await,
        }
    }

    async fn carry_out(&self, chosen: Vec<Chosen<'_>>, invocation: &Invocation) -> Vec<(usize, Report)> {
        let aws = Aws {
            clients: &self.clients,
            queues: &self.config.queues,
            invocation,
        };
        let acted_on: Vec<&Chosen<'_>> = chosen.iter().filter(|one| !one.planned_only).collect();
        let notices: Vec<&Notice> = acted_on.iter().map(|one| one.notice).collect();
        let plans: Vec<Plan> = acted_on.iter().map(|one| one.plan.clone()).collect();
        let results = effects::carry_out(aws, &notices, &plans).await;
        let report = |one: &Chosen<'_>| {
            let invocation = invocation.with(one.planned_only);
            let report = invocation.report(one.notice, &one.plan, &results);
            (one.index, report.in_pool(one.pool.as_ref()))
        };
        chosen.iter().map(report).collect()
    }
}

/// A notice with its plan, and its index in the batch.
struct Chosen<'a> {
    index: usize,
    notice: &'a Notice,
    plan: Plan,
    planned_only: bool,
    pool: Option<Pool>,
}

/// The notices whose actions wait for the item of this group; or, without a group, those that wait for no item.
fn chosen<'a>(notices: &'a [Notice], planned: &Planned, group: Option<&str>) -> Vec<Chosen<'a>> {
    let of_group = |index: &usize| planned.gates[*index].as_deref() == group;
    let chosen = |index: usize| Chosen {
        index,
        notice: &notices[index],
        plan: planned.plans[index].clone(),
        planned_only: planned.planned_only[index],
        pool: planned.pools[index].clone(),
    };
    (0..notices.len()).filter(of_group).map(chosen).collect()
}
