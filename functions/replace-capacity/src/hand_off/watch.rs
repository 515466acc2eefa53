//! The watch over groups. It begins at the same time as the first action of an interruption, and goes on look by look.
//!
//! All looks of a batch read their groups in one round. A look first sends the next message, and then writes the item.
//! So a function that is killed leaves one message too many, and never none.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use jiff::Timestamp;
use spot_handoff::autoscaling::groups::{self, Groups};
use spot_handoff::lambda::outbox;
use spot_handoff::notice::{LaunchFailed, Notice};
use spot_handoff::report::plan::{Done, Results};
use spot_handoff::report::{GroupLine, Report};
use spot_handoff::runtime::aws::CallError;
use spot_handoff::runtime::invocation::{Invocation, together};
use spot_handoff::state::group_watch::{self, GroupWatch, Interruption};
use spot_handoff::state::{Versioned, Written};

use super::{DECIDED_ANEW, ReplaceCapacity};
use crate::effects::{self, Aws};
use crate::facts::launches;
use crate::plan::watch::{self, Asked, Beginning, Seen, Turn};
use crate::plan::{Action, Plan, Queue, Skip, Warning};

/// How long the first action of an interruption waits for the message that begins a watch. The message is sent during
/// the reads before that action, and tried again after the action.
const SENT_WITHIN: Duration = Duration::from_secs(1);

/// What the table says about a group.
type Known = Result<Option<Versioned<GroupWatch>>, CallError>;

/// How the effects of a turn went.
#[derive(Debug, Default)]
struct Outcomes {
    sent: Option<Done>,
    set: Option<Done>,
}

/// One group of a batch, and the messages about it.
struct Watched<'a> {
    group: &'a str,
    /// Indexes of the notices.
    indexes: Vec<usize>,
    asked: Vec<Asked<'a>>,
}

impl ReplaceCapacity {
    /// Begins watches over the groups that these notices make smaller. Returns what could not be sent.
    pub(super) async fn begin_watches(
        &self,
        notices: &[Notice],
        groups: &Groups,
        invocation: &Invocation,
    ) -> Vec<Beginning> {
        if invocation.dry_run {
            return vec![];
        }
        let wanted = watch::beginnings(notices, groups, self.config.scope, invocation.clock.now());
        let unsent = self
            .send(&wanted, notices, &invocation.for_at_most(SENT_WITHIN))
            .await;
        unsent.into_iter().map(|(beginning, _)| beginning).collect()
    }

    /// Sends again what could not be sent. If that fails too, the report says so.
    pub(super) async fn begin_late(
        &self,
        unsent: &[Beginning],
        notices: &[Notice],
        reports: &mut BTreeMap<usize, Report>,
        invocation: &Invocation,
    ) {
        for (beginning, error) in self.send(unsent, notices, invocation).await {
            if let Some(report) = reports.remove(&beginning.index) {
                let problem = format!("its group is not watched until it is whole: {error}");
                reports.insert(beginning.index, report.with_problem(problem));
            }
        }
    }

    async fn send(
        &self,
        beginnings: &[Beginning],
        notices: &[Notice],
        invocation: &Invocation,
    ) -> Vec<(Beginning, CallError)> {
        let message = |one: &Beginning| (one.index, one.follow_up.clone(), one.at);
        let messages: Vec<_> = beginnings.iter().map(message).collect();
        let looks: Vec<effects::watch::Look<'_>> = messages
            .iter()
            .map(|(index, follow_up, at)| (&notices[*index], follow_up, *at))
            .collect();
        if looks.is_empty() {
            return vec![];
        }
        let answers = effects::watch::send(self.aws(invocation), &looks).await;
        let unsent = beginnings.iter().zip(answers);
        unsent
            .filter_map(|(beginning, answer)| Some((beginning.clone(), answer.err()?)))
            .collect()
    }

    fn aws<'a>(&'a self, invocation: &'a Invocation) -> Aws<'a> {
        Aws {
            clients: &self.clients,
            queues: &self.config.queues,
            invocation,
        }
    }

    /// Handles the looks of a batch. Returns one report for each notice, in their order.
    pub(super) async fn watch(&self, notices: &[Notice], invocation: &Invocation) -> Vec<Report> {
        let mut watched: BTreeMap<&str, Watched<'_>> = BTreeMap::new();
        for (index, notice) in notices.iter().enumerate() {
            let Some((group, asked)) = Asked::of(notice) else {
                continue;
            };
            let one = watched.entry(group).or_insert_with(|| Watched {
                group,
                indexes: vec![],
                asked: vec![],
            });
            one.indexes.push(index);
            one.asked.push(asked);
        }
        let names: Vec<String> = watched.keys().map(|name| (*name).to_owned()).collect();
        let (groups, mut known) = tokio::join!(
            groups::read(&self.clients.autoscaling, invocation, &[], &names),
            self.known(&names, invocation),
        );
        let now = invocation.clock.now();
        let short: BTreeSet<&str> = watched
            .values()
            .filter(|one| lacks_something(one, &groups, known.get(one.group), now))
            .map(|one| one.group)
            .collect();
        let launches = launches::read(&self.clients, invocation, short).await;
        let mut of_group = HashMap::new();
        for (group, launches) in launches {
            match launches {
                Ok(launches) => {
                    of_group.insert(group, launches);
                }
                Err(error) => tracing::warn!(group, "cannot read why its launches fail: {error}"),
            }
        }
        let none = launches::Launches::default();
        let turns = together(watched.values().map(|one| {
            let known = known.remove(one.group).unwrap_or(Ok(None));
            let launches = of_group.get(one.group).unwrap_or(&none);
            self.turn(one, &groups, known, launches, invocation)
        }))
        .await;
        let mut reports = BTreeMap::new();
        for (one, (turn, outcomes)) in watched.values().zip(turns) {
            for (index, (plan, results)) in one.indexes.iter().zip(plans(one, &turn, &outcomes)) {
                let report = invocation.report(&notices[*index], &plan, &results);
                reports.insert(*index, report.without_deadline());
            }
        }
        reports.into_values().collect()
    }

    async fn known(&self, names: &[String], invocation: &Invocation) -> HashMap<String, Known> {
        let (names_of, briefly) = (names.iter().map(String::as_str), invocation.briefly());
        let answer = group_watch::read(&self.clients.table, &briefly, names_of).await;
        let of = |name: &String| {
            let item = answer.as_ref().map(|all| {
                let mut all = all.iter();
                all.find(|one| one.item.group == *name).cloned()
            });
            (name.clone(), item.map_err(Clone::clone))
        };
        names.iter().map(of).collect()
    }

    /// One turn of one group: decides, sends, writes. If another invocation was faster, decides again.
    async fn turn(
        &self,
        one: &Watched<'_>,
        groups: &Groups,
        mut known: Known,
        launches: &launches::Launches,
        invocation: &Invocation,
    ) -> (Turn, Outcomes) {
        let aws = self.aws(invocation);
        let mut outcomes = Outcomes::default();
        let mut asked_for = 0;
        let mut turn = Turn::default();
        for _ in 0..DECIDED_ANEW {
            let item = known
                .as_ref()
                .map(|known| known.as_ref().map(|known| &known.item));
            let seen = Seen {
                now: invocation.clock.now(),
                group: match (groups.by_name(one.group), groups.why_unread(one.group)) {
                    (Some(group), _) => Ok(Some(group)),
                    (None, Some(error)) => Err(error),
                    (None, None) => Ok(None),
                },
                known: item,
                launches,
                scope: self.config.scope,
                fallback: (self.config.fallback, self.config.fallback_bounds),
            };
            turn = watch::next(one.group, &one.asked, &seen);
            if invocation.dry_run {
                break;
            }
            if let Some((follow_up, at)) = &turn.next {
                let number = watch::number(follow_up);
                if number > asked_for {
                    asked_for = number;
                    let look = (one.asked[0].notice, follow_up, *at);
                    let answers = effects::watch::send(aws, &[look]).await;
                    let answer = answers.into_iter().next().unwrap_or(Ok(()));
                    outcomes.sent = Some(match answer {
                        Ok(()) => Done::later(invocation.clock),
                        Err(error) => Done::failed(invocation.clock, error),
                    });
                }
                if outcomes.sent.as_ref().is_some_and(|done| done.note.is_some()) {
                    break;
                }
            }
            let Some(item) = &turn.item else {
                break;
            };
            let version = known.ok().flatten().map(|known| known.version);
            match effects::watch::write(aws, item, version).await {
                Ok(Written::Yes(_)) => {
                    if let (Some(base), Some(group)) = (turn.set, groups.by_name(one.group)) {
                        outcomes.set = Some(effects::base::set(aws, group, base).await);
                    }
                    break;
                }
                Ok(Written::Conflict) => {
                    let names = [one.group.to_owned()];
                    let read = self.known(&names, invocation).await.remove(one.group);
                    known = read.unwrap_or(Ok(None));
                }
                Err(error) => {
                    let (group, error) = (one.group.to_owned(), error.to_string());
                    turn.warnings.push(Warning::WatchUnwritten { group, error });
                    // What is not written is not done: the next look decides again.
                    (turn.set, turn.told_of_mixture) = (None, None);
                    break;
                }
            }
        }
        (turn, outcomes)
    }

    /// Makes the next look earlier for groups that are watched.
    pub(super) async fn look_sooner(
        &self,
        launches: &[&LaunchFailed],
        invocation: &Invocation,
    ) -> Result<(), CallError> {
        if invocation.dry_run {
            return Ok(());
        }
        let groups = launches.iter().map(|launch| launch.group.as_str());
        let watches = group_watch::read(&self.clients.table, invocation, groups).await?;
        let now = invocation.clock.now();
        let looks: Vec<_> = watches
            .iter()
            .filter_map(|known| watch::brought_forward(&known.item, now))
            .collect();
        for (notice, follow_up, at) in &looks {
            tracing::info!(
                event_id = notice.event_id,
                "a launch failed, so its group is looked at sooner: {}",
                follow_up.step.group().unwrap_or_default()
            );
            let message = outbox::Outgoing::new(&self.config.queues.own, notice, follow_up, *at, now);
            let answers = outbox::send(&self.clients.sqs, invocation, &[message]).await;
            answers.into_iter().collect::<Result<(), CallError>>()?;
        }
        Ok(())
    }
}

/// Whether it is worth reading how the launches of the group went.
fn lacks_something(one: &Watched<'_>, groups: &Groups, known: Option<&Known>, now: Timestamp) -> bool {
    let (Some(group), Some(first)) = (groups.by_name(one.group), one.asked.first()) else {
        return false;
    };
    let begun = || GroupWatch::begun(one.group, Interruption::of(first.notice), now);
    let watch = match known {
        Some(Ok(Some(known))) => known.item.clone(),
        _ => begun(),
    };
    watch.fallback.is_some() || watch::short_of(&watch, group, now) > 0
}

/// The plans for the reports on the messages about one group. The first report says how the group stands.
fn plans(one: &Watched<'_>, turn: &Turn, outcomes: &Outcomes) -> Vec<(Plan, Results<Action>)> {
    let others = one.asked.iter().skip(1);
    let others = others.map(|asked| {
        let plan = Plan::nothing(&asked.notice.instance, Skip::Watched);
        (plan, Results::new())
    });
    let first = one.asked.iter().take(1).map(|asked| {
        let mut plan = Plan {
            warnings: turn.warnings.clone(),
            problems: turn.problem.clone().into_iter().collect(),
            groups: lines(one.group, turn),
            ..Plan::default()
        };
        let mut results = Results::new();
        if let Some(base) = turn.set {
            let group = one.group.to_owned();
            let action = Action::SetBase { group, base };
            results.extend(outcomes.set.clone().map(|done| (action.clone(), done)));
            plan.actions.push(action);
        }
        match &turn.next {
            Some((follow_up, at)) => {
                let action = Action::Send {
                    to: Queue::Own,
                    instance: asked.notice.instance.clone(),
                    at: *at,
                    follow_up: follow_up.clone(),
                };
                results.extend(outcomes.sent.clone().map(|done| (action.clone(), done)));
                plan.actions.push(action);
            }
            None if plan.groups.is_empty() && plan.problems.is_empty() => {
                plan.skip(&asked.notice.instance, Skip::Watched);
            }
            None => {}
        }
        (plan, results)
    });
    first.chain(others).collect()
}

/// What the turn reports about the group: how it stands, and its mixture.
fn lines(group: &str, turn: &Turn) -> Vec<GroupLine> {
    let standing = turn
        .told
        .iter()
        .filter_map(|standing| watch::line(group, standing));
    let mixture = turn.told_of_mixture.iter();
    standing
        .chain(mixture.filter_map(|told| watch::line_of_mixture(group, told)))
        .collect()
}
