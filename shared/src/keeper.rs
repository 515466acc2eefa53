//! What is known about target groups when deciding which of their doomed targets stay for now.
//!
//! deregister-targets and replace-capacity both ask this at the same time, about the same instances. They read the same
//! facts, and write the same ends under the same names. So what one of them has written is no news to the other.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::{SignedDuration, Timestamp};

use crate::autoscaling::policies::KeepHealthy;
use crate::elb::health::{self, State, Target, TargetHealth};
use crate::elb::holding::{self, Balancer, Held, Seen, Verdict};
use crate::elb::target_groups::{Balancers, Delays};
use crate::report::HeldLine;
use crate::runtime::aws::CallError;
use crate::runtime::invocation::Invocation;
use crate::state::under_notice::{self, News, UnderNotice};
use crate::state::{Table, Versioned};

/// The delays of messages are whole seconds. So a moment nearer than this counts as now.
const NEAR: SignedDuration = SignedDuration::from_secs(1);

/// The facts that decide about the doomed targets of target groups.
#[derive(Debug, Clone)]
pub struct Facts<'a> {
    /// The registered targets.
    pub health: &'a TargetHealth,
    /// The percentage that has to stay, by target group.
    pub keep_healthy: &'a HashMap<String, KeepHealthy>,
    /// The kind of load balancer, by target group.
    pub balancers: HashMap<String, Balancer>,
    /// The deregistration delays that are known.
    pub delays: HashMap<String, SignedDuration>,
    /// What is under notice, by target group: from the table, or what this batch knows.
    pub under_notice: HashMap<String, UnderNotice>,
    /// Now.
    pub now: Timestamp,
}

impl Facts<'_> {
    /// The decisions about the doomed targets of a target group.
    pub fn verdicts(&self, target_group: &str) -> BTreeMap<Target, Verdict> {
        self.decide(target_group, self.delays.get(target_group).copied())
    }

    /// The target groups in which something has to stay, so that their deregistration delay matters.
    pub fn contested(&self) -> BTreeSet<String> {
        let is_contested = |target_group: &&String| {
            let verdicts = self.decide(target_group, Some(SignedDuration::ZERO));
            verdicts.values().any(|verdict| verdict.held().is_some())
        };
        self.under_notice.keys().filter(is_contested).cloned().collect()
    }

    fn decide(&self, target_group: &str, delay: Option<SignedDuration>) -> BTreeMap<Target, Verdict> {
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

/// What a report says about a target that is held.
pub fn held_line(target_group: &str, target: String, held: Held) -> HeldLine {
    HeldLine {
        target_group: target_group.to_owned(),
        target,
        until: held.until,
        staying: held.staying,
        needed: held.needed,
        reason: held.to_string(),
    }
}

/// How many targets of a target group serve, if that was read.
pub fn serving(health: &TargetHealth, target_group: &str) -> usize {
    let registered = health.get(target_group).and_then(|one| one.as_ref().ok());
    registered.map_or(0, |registered| holding::serving_count(registered))
}

/// What is under notice in a target group if the table does not answer: only what the batch knows itself. A draining
/// target may have left because of a notice, so it counts among those that served before.
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

/// What the table said before the decision.
pub type Known = Result<Vec<Versioned<UnderNotice>>, CallError>;

/// Reads the facts, and remembers between invocations what rarely changes.
#[derive(Debug)]
pub struct Keeper {
    elb: aws_sdk_elasticloadbalancingv2::Client,
    table: Table,
    balancers: Balancers,
    delays: Delays,
}

impl Keeper {
    /// A keeper that remembers nothing yet.
    pub fn new(elb: aws_sdk_elasticloadbalancingv2::Client, table: Table) -> Self {
        Self {
            elb,
            table,
            balancers: Balancers::default(),
            delays: Delays::default(),
        }
    }

    /// The registered targets of target groups, and what is under notice there.
    pub async fn read(&self, arns: BTreeSet<String>, invocation: &Invocation) -> (TargetHealth, Known) {
        // The kinds of load balancer are remembered. The first time, they are read at the same time as the rest.
        let (health, known, _) = tokio::join!(
            health::read(&self.elb, invocation, arns.clone()),
            self.known(&arns, invocation),
            self.balancers.of(&self.elb, invocation, &arns),
        );
        (health, known)
    }

    /// What is under notice in target groups.
    pub async fn known(&self, arns: impl IntoIterator<Item = &String>, invocation: &Invocation) -> Known {
        under_notice::read(&self.table, invocation, arns).await
    }

    /// The deregistration delay of each of these target groups, as far as it can be read.
    pub async fn delays(
        &self,
        arns: impl IntoIterator<Item = &String>,
        invocation: &Invocation,
    ) -> HashMap<String, SignedDuration> {
        self.delays.of(&self.elb, invocation, arns).await
    }

    /// Writes down what a batch knows, and reads the other facts. Also returns the target groups for which the table
    /// did not answer: for those, only the batch's own knowledge decides.
    pub async fn facts<'a>(
        &self,
        news: &[News],
        health: &'a TargetHealth,
        known: Known,
        keep_healthy: &'a HashMap<String, KeepHealthy>,
        invocation: &Invocation,
    ) -> (Facts<'a>, Vec<(String, CallError)>) {
        let now = invocation.clock.now();
        let noting = async {
            match invocation.dry_run {
                true => under_notice::as_if_noted(news, known, now),
                false => under_notice::note(&self.table, invocation, news, known).await,
            }
        };
        let arns = news.iter().map(|news| &news.target_group);
        let (noted, balancers) = tokio::join!(noting, self.balancers.of(&self.elb, invocation, arns));
        let mut under_notice = HashMap::new();
        let mut unknown = vec![];
        for (news, noted) in news.iter().zip(noted) {
            let target_group = &news.target_group;
            let item = noted.unwrap_or_else(|error| {
                tracing::warn!("{target_group}: the table does not answer: {error}");
                unknown.push((target_group.clone(), error));
                without_table(news, health, now)
            });
            under_notice.insert(target_group.clone(), item);
        }
        let mut facts = Facts {
            health,
            keep_healthy,
            balancers,
            delays: HashMap::new(),
            under_notice,
            now: invocation.clock.now(),
        };
        facts.delays = self.delays(&facts.contested(), invocation).await;
        (facts, unknown)
    }
}
