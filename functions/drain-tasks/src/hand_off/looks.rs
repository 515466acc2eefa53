//! The next look for each notice that needs one.

use jiff::Timestamp;
use spot_handoff::autoscaling::groups::Groups;
use spot_handoff::ecs::container_instances::{ContainerInstance, ContainerInstances};
use spot_handoff::lambda::outbox;
use spot_handoff::notice::{FollowUp, Notice, between_looks};
use spot_handoff::report::plan::Results;
use spot_handoff::runtime::invocation::Invocation;

use crate::effects::{self};
use crate::plan::{self, Action, Plan, look};

use super::{DrainTasks, group_of, named_group};

/// If there are more notices than this, each look reports only whether any task is left.
const FEW_NOTICES: usize = 50;

impl DrainTasks {
    /// Sends the next look for each notice that needs one. Readers of the report need not know this, so it is not
    /// reported unless the message could not be sent.
    pub(super) async fn look_again(
        &self,
        notices: &[Notice],
        groups: &Groups,
        found: &ContainerInstances,
        (plans, planned_only): (&mut [Plan], &[bool]),
        results: &Results<Action>,
        invocation: &Invocation,
    ) {
        let (now, every) = (invocation.clock.now(), between_looks(notices.len()));
        let mut looks: Vec<(usize, FollowUp, Timestamp)> = vec![];
        for (index, (notice, plan)) in notices.iter().zip(plans.iter()).enumerate() {
            let group = groups.of_instance(&notice.instance);
            let is_ours = plan::may_act(notice, &group, &self.config).is_ok();
            // If a look fails, it comes back by itself.
            let comes_back = look::is_look(notice) && effects::has_failed(plan, results);
            if is_ours && !comes_back && !planned_only[index] {
                let cares = |one: &ContainerInstance| plan::left_alone(notice, &group, one).is_none();
                let name = group_of(notice, groups).map(|group| group.name.as_str());
                let name = name.or(named_group(notice));
                let next = look::next(notice, name, found, cares, every, now);
                looks.extend(next.map(|(follow_up, at)| (index, follow_up, at)));
                let cluster_of = |_: &str| {
                    let on = found.of_instance(&notice.instance).iter();
                    on.map(|one| one.cluster.as_str()).next()
                };
                let at_the_end = plan::ends::looks(notice, &plan.tasks, cluster_of);
                looks.extend(
                    at_the_end
                        .into_iter()
                        .map(|(follow_up, at)| (index, follow_up, at)),
                );
            }
        }
        let is_storm = notices.len() > FEW_NOTICES;
        for (notice, plan) in notices.iter().zip(plans.iter_mut()) {
            plan.work.tasks = look::tasks_that_run(notice, found, is_storm);
        }
        let follow_ups: Vec<_> = looks
            .iter()
            .map(|(index, follow_up, at)| (&notices[*index], follow_up, *at))
            .collect();
        let queue = &self.config.own_queue_url;
        let sent = outbox::send_together(&self.clients.sqs, invocation, queue, &follow_ups).await;
        for ((index, _, _), answer) in looks.iter().zip(sent) {
            if let Err(error) = answer {
                plans[*index].problems.push(format!("cannot look again: {error}"));
            }
        }
    }
}
