//! An instance that AWS is about to take. It leaves its group now, or, if one of its targets is still needed, when that
//! target may leave.
//!
//! In both cases the first action comes at once, and the group launches now. An instance that leaves makes room for its
//! replacement. An instance that is still needed would lose its targets by leaving. So the desired capacity is raised
//! instead, and the instance later leaves with decrement. If nothing can be raised, it stays all the same: there is a
//! gap as long as a launch takes, now or later, and later an instance may have come for another reason. If the table
//! does not answer, nobody could lower the raise again, so the instance leaves at once.

use jiff::Timestamp;
use spot_handoff::autoscaling::groups::{Group, GroupOf, Lifecycle, Member};
use spot_handoff::autoscaling::policies::{ReplacementStrategy, StopDocument};
use spot_handoff::exchange::{Asked, LOOK_AGAIN, messages};
use spot_handoff::notice::{Cause, FollowUp, InstanceId, Notice, Signal};
use spot_handoff::runtime::config::Scope;

use crate::facts::TerminationHooks;

use super::{
    Action, Gated, Leaving, Plan, Planning, Queue, Skip, Warning, leave, serving, tell, tell_the_others,
    unread,
};

impl Planning<'_> {
    /// An interruption warning.
    pub(super) fn warning(&mut self, notice: &Notice) -> Gated {
        match serving(notice, &self.facts.groups, self.config.scope) {
            Ok((group, _)) if group.capacity_rebalance && !self.is_terminated_at_once(group) => {
                (Plan::nothing(&notice.instance, Skip::LeftToAutoScaling), None)
            }
            Ok((group, member)) => self.interruption(notice, group, &member),
            Err(plan) => {
                let mut plan = *plan;
                plan.actions.extend(self.look_at_pending(notice));
                (plan, None)
            }
        }
    }

    /// Whether Auto Scaling, because of Capacity Rebalancing, terminates a warned instance before its two minutes are
    /// over: no termination hook delays it. If the instance leaves the group first, it works on, and the group launches
    /// as well.
    fn is_terminated_at_once(&self, group: &Group) -> bool {
        let no_hook = matches!(
            self.facts.hooks.get(&group.name),
            Some(Ok(TerminationHooks::None))
        );
        no_hook && self.strategy(group) == ReplacementStrategy::Detach
    }

    /// A look at an instance under notice: whether it may leave now, or has come into service late.
    pub(super) fn look(&mut self, notice: &Notice, follow_up: &FollowUp, name: &str) -> Gated {
        let group = self.facts.groups.by_name(name);
        if let (None, Some(error)) = (group, self.facts.groups.why_unread(name)) {
            return (unread(error.to_string()), None);
        }
        match self.item(name) {
            Err(error) => (unread(error), None),
            Ok(item) if item.under_way.contains_key(&notice.instance) => {
                let deadline = follow_up.deadline.unwrap_or(self.now);
                let asked = self.interrupted(&notice.instance, deadline);
                let (mut plan, gate) = self.ask_about(notice, name, group, asked);
                self.say_what_is_held(&mut plan, notice, group);
                (plan, gate)
            }
            // If the instance is still there after its time, AWS has left it.
            Ok(_) if follow_up.deadline.is_some_and(|deadline| deadline <= self.now) => {
                (Plan::nothing(&notice.instance, Skip::NoExchange), None)
            }
            Ok(_) => self.warning(notice),
        }
    }

    fn interruption(&mut self, notice: &Notice, group: &Group, member: &Member) -> Gated {
        let asked = self.interrupted(&member.id, notice.deadline().unwrap_or(self.now));
        let is_needed = !self.facts.needed.of(&member.id).is_empty();
        let (mut plan, gate) = match self.item(&group.name) {
            Ok(item) if is_needed || item.under_way.contains_key(&member.id) => {
                self.ask_about(notice, &group.name, Some(group), asked)
            }
            Ok(item) => {
                let asks_for_it = item.recommendation_over.is_some() || !item.under_way.is_empty();
                if asks_for_it {
                    self.remember_warning(group);
                }
                (self.leaves_now(group, member), None)
            }
            Err(error) => {
                let mut plan = self.leaves_now(group, member);
                plan.warnings.push(Warning::ExchangesUnread { error });
                (plan, None)
            }
        };
        self.say_what_is_held(&mut plan, notice, Some(group));
        if is_first(notice) && self.config.scope == Scope::Tagged {
            plan.actions.extend(tell_the_others(notice, group, self.now));
        }
        if is_first(notice) && StopDocument::is_asked_for(group) {
            plan.actions
                .push(tell(Queue::RunCommands, notice, group, self.now));
        }
        (plan, gate)
    }

    /// What to ask about an instance that AWS takes at the deadline.
    pub(super) fn interrupted(&self, instance: &InstanceId, deadline: Timestamp) -> Asked {
        Asked::Interrupted {
            held_until: self.facts.needed.until(instance),
            deadline,
        }
    }

    fn leaves_now(&self, group: &Group, member: &Member) -> Plan {
        let leaving = Leaving {
            group: group.name.clone(),
            instance: member.id.clone(),
            decrement: false,
        };
        Plan {
            actions: vec![leave(self.strategy(group), leaving)],
            ..Plan::default()
        }
    }

    /// Reports why the instance stays for now, if it does, and what was not known for that decision.
    fn say_what_is_held(&self, plan: &mut Plan, notice: &Notice, group: Option<&Group>) {
        let leaves = |action: &Action| matches!(action, Action::Detach(_) | Action::Terminate(_));
        if plan.actions.iter().any(leaves) {
            let told = group.filter(|_| is_first(notice));
            let warnings = told.map(|group| self.warnings_of_strategy(group));
            plan.warnings.extend(warnings.into_iter().flatten());
        } else {
            plan.held
                .extend_from_slice(self.facts.needed.of(&notice.instance));
        }
        let unread = group
            .into_iter()
            .flat_map(|group| self.facts.needed.unread_of(group));
        plan.warnings
            .extend(unread.map(|(target_group, error)| Warning::TargetsUnread {
                target_group: target_group.to_owned(),
                error: error.to_owned(),
            }));
    }

    /// If an instance is still launching when its warning comes, it may be in service before its end.
    fn look_at_pending(&self, notice: &Notice) -> Option<Action> {
        let GroupOf::Some { group, member } = self.facts.groups.of_instance(&notice.instance) else {
            return None;
        };
        let deadline = notice.deadline()?;
        let at = self.now.saturating_add(LOOK_AGAIN).ok()?;
        let is_worth_it = member.lifecycle == Lifecycle::Pending
            && at < deadline
            && !group.capacity_rebalance
            && self.config.scope.admits(Some(group)).is_ok();
        is_worth_it.then(|| Action::Send {
            to: Queue::Own,
            instance: notice.instance.clone(),
            at,
            follow_up: messages::look(&group.name, Cause::Interruption, deadline),
        })
    }
}

/// Whether the notice is the warning itself, and not a look.
fn is_first(notice: &Notice) -> bool {
    !matches!(notice.signal, Signal::FollowUp(_))
}
