//! Exchanges: turns the decisions of `next` into actions.

use std::collections::BTreeSet;

use spot_handoff::autoscaling::groups::Group;
use spot_handoff::exchange::capacity::CALL_LASTS;
use spot_handoff::exchange::{Act, Asked, Exchange, Exchanges, Seen, Step, Told, messages, next};
use spot_handoff::notice::{Cause, Notice};
use spot_handoff::state::Expected;

use super::{Action, Gated, Leaving, Plan, Planning, Queue, Skip, Warning, leave, unread};

impl Planning<'_> {
    /// The exchanges of a group, with the changes that this batch has made so far.
    ///
    /// # Errors
    /// If the table could not be read.
    pub(super) fn item(&self, group: &str) -> Result<Exchanges, String> {
        match (self.items.get(group), self.facts.items.get(group)) {
            (Some((item, _)), _) => Ok(item.clone()),
            (None, Some(Ok(Some(versioned)))) => Ok(versioned.item.clone()),
            (None, Some(Ok(None)) | None) => Ok(Exchanges::none(group, self.now)),
            (None, Some(Err(error))) => Err(error.to_string()),
        }
    }

    fn keep(&mut self, item: Exchanges) {
        let group = item.group.clone();
        let expected = match self.facts.items.get(&group) {
            Some(Ok(Some(versioned))) => Expected::Version(versioned.version),
            _ => Expected::Nothing,
        };
        let item = Exchanges {
            written: self.now,
            ..item
        };
        self.items.insert(group, (item, expected));
    }

    /// Records that a warning came for an instance of the group: recommendations are worth acting on.
    pub(super) fn remember_warning(&mut self, group: &Group) {
        if let Ok(mut item) = self.item(&group.name) {
            item.warned = Some(self.now);
            self.keep(item);
        }
    }

    /// A message about an exchange.
    pub(super) fn step(&mut self, notice: &Notice, name: &str, asked: Asked) -> Gated {
        let group = self.facts.groups.by_name(name);
        if let (None, Some(error)) = (group, self.facts.groups.why_unread(name)) {
            return (unread(error.to_string()), None);
        }
        let item = match self.item(name) {
            Ok(item) => item,
            Err(error) => return (unread(error), None),
        };
        let mut warnings = vec![];
        let mut ready = BTreeSet::new();
        if let (Some(group), Some(exchange)) = (group, item.under_way.get(&notice.instance)) {
            match self.facts.ready(group, &notice.instance) {
                Ok(found) => ready = found,
                // If the exchange is late, unknown health does not keep it from ending.
                Err(error) if self.now >= exchange.limit => warnings.push(Warning::HealthUnread { error }),
                Err(error) => return (unread(error), None),
            }
        }
        let asked = match (item.under_way.get(&notice.instance), asked) {
            // An instance under notice waits only for its moment to leave, and has its own looks for that.
            (Some(exchange), Asked::Look) if exchange.cause == Cause::Interruption => {
                let is_over = self.now >= exchange.limit;
                Asked::Interrupted {
                    held_until: (!is_over).then_some(exchange.limit),
                    deadline: exchange.limit,
                }
            }
            (_, asked) => asked,
        };
        let (mut plan, gate) = self.decide(notice, name, group, asked, &ready);
        plan.warnings.extend(warnings);
        (plan, gate)
    }

    /// News about an instance of the group that needs no ready member.
    pub(super) fn ask_about(
        &mut self,
        notice: &Notice,
        name: &str,
        group: Option<&Group>,
        asked: Asked,
    ) -> Gated {
        self.decide(notice, name, group, asked, &BTreeSet::new())
    }

    fn decide(
        &mut self,
        notice: &Notice,
        name: &str,
        group: Option<&Group>,
        asked: Asked,
        ready: &BTreeSet<spot_handoff::notice::InstanceId>,
    ) -> Gated {
        let item = match self.item(name) {
            Ok(item) => item,
            Err(error) => return (unread(error), None),
        };
        let seen = Seen {
            now: self.now,
            instance: &notice.instance,
            asked,
            group,
            ready,
            drains: self.facts.drains(&notice.instance),
        };
        let (mut after, mut step) = next(&item, &seen);
        let sets = |act: &Act| matches!(act, Act::SetDesired { .. });
        if step.acts.iter().any(sets) {
            if self.another_sets(name) {
                step.acts.retain(|act| !sets(act));
            } else {
                let until = self.now.saturating_add(CALL_LASTS);
                after.setting_until = Some(until.unwrap_or(self.now));
            }
        }
        let exchange = after.under_way.get(&notice.instance).cloned();
        let plan = self.plan_of(notice, name, group, asked, &step, exchange.as_ref());
        if after != item {
            self.keep(after);
        }
        (plan, Some(name.to_owned()))
    }

    /// Whether another invocation may be setting the desired capacity. It will see what this one writes, and set that.
    fn another_sets(&self, group: &str) -> bool {
        let Some(Ok(Some(versioned))) = self.facts.items.get(group) else {
            return false;
        };
        versioned.item.setting_until.is_some_and(|until| until > self.now)
    }

    /// The step as actions of this function.
    fn plan_of(
        &self,
        notice: &Notice,
        name: &str,
        group: Option<&Group>,
        asked: Asked,
        step: &Step,
        exchange: Option<&Exchange>,
    ) -> Plan {
        let mut plan = Plan::default();
        for told in &step.told {
            if let Told::Over(ending) = told {
                plan.ending = Some(*ending);
            }
            match (told, Skip::of(told)) {
                (_, Some(skip)) => plan.skip(&notice.instance, skip),
                (Told::ReplacementLost, None) => plan.warnings.push(Warning::ReplacementLost {
                    group: name.to_owned(),
                }),
                (_, None) => {}
            }
        }
        let is_interrupted = matches!(asked, Asked::Interrupted { .. });
        for act in &step.acts {
            plan.actions.extend(match act {
                Act::SetDesired { to } => Some(Action::SetDesired {
                    group: name.to_owned(),
                    instance: notice.instance.clone(),
                    from: group.map_or(*to, |group| group.desired),
                    to: *to,
                }),
                Act::MoveWork { replacement } => exchange.map(|exchange| Action::Send {
                    to: Queue::DrainTasks,
                    instance: notice.instance.clone(),
                    at: self.now,
                    follow_up: messages::move_work(name, exchange, replacement.clone()),
                }),
                Act::Leave { decrement } => {
                    let leaving = Leaving {
                        group: name.to_owned(),
                        instance: notice.instance.clone(),
                        decrement: *decrement,
                    };
                    Some(match (is_interrupted, group) {
                        (true, Some(group)) => leave(self.strategy(group), leaving),
                        (true, None) => Action::Detach(leaving),
                        (false, _) => Action::Retire(leaving),
                    })
                }
                Act::Terminate { replacement } => Some(Action::GiveBack {
                    group: name.to_owned(),
                    replacement: replacement.clone(),
                }),
            });
        }
        if let (Some(at), Some(exchange)) = (step.look_at, exchange) {
            // The limit of an exchange may be before the end of the instance.
            let limit = match asked {
                Asked::Interrupted { deadline, .. } => deadline,
                _ => exchange.limit,
            };
            plan.actions.push(Action::Send {
                to: Queue::Own,
                instance: notice.instance.clone(),
                at,
                follow_up: messages::look(name, exchange.cause, limit),
            });
        }
        plan
    }
}
