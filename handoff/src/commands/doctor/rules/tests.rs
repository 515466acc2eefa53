use std::collections::{BTreeMap, BTreeSet};

use spot_handoff::autoscaling::groups::{Lifecycle, Member};
use spot_handoff::autoscaling::policies::{
    RebalanceAction, ReplacementStrategy, SpotFallback, StandaloneTasks,
};
use spot_handoff::ecs::accelerators::Accelerator;
use spot_handoff::ecs::standalone_tasks::Rerun;
use spot_handoff::runtime::config::Scope;

use super::*;
use crate::commands::doctor::facts::{
    ContainerInstance, Definition, Deployment, Document, Hook, Needs, Provider, Purchase, Script, Task, Types,
};

const ON_GROUP: &str = "arn:ci/1";
const ELSEWHERE: &str = "arn:ci/2";
const TARGET_GROUP: &str = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/api/1";

fn names(list: &[&str]) -> BTreeSet<String> {
    list.iter().map(|name| name.to_string()).collect()
}

fn member(id: &str) -> Member {
    Member {
        id: id.parse().expect("an instance id"),
        zone: "us-east-1a".to_owned(),
        lifecycle: Lifecycle::InService,
    }
}

/// A Spot group with nothing wrong.
fn group() -> Group {
    Group {
        core: spot_handoff::autoscaling::groups::Group {
            name: "web".to_owned(),
            desired: 2,
            max: 4,
            capacity_rebalance: true,
            target_groups: names(&[TARGET_GROUP]),
            zones: ["a", "b", "c"].map(str::to_owned).to_vec(),
            instances: vec![member("i-00000000000000001"), member("i-00000000000000002")],
            ..Default::default()
        },
        purchase: Purchase::Spot,
        types: Types::Named(names(&["a.large", "b.large", "c.large", "d.large"])),
        strategy: Some("price-capacity-optimized".to_owned()),
        hooks: Some(vec![Hook {
            name: "spot-handoff-drain".to_owned(),
            heartbeat: 300,
        }]),
        ..Default::default()
    }
}

fn service() -> Service {
    Service {
        name: "api".to_owned(),
        desired: 2,
        minimum_percent: 100,
        maximum_percent: 200,
        target_groups: vec![TARGET_GROUP.to_owned()],
        definition: "arn:api:1".to_owned(),
        ..Default::default()
    }
}

fn task(service: Option<&str>) -> Task {
    Task {
        arn: "arn:task/1".to_owned(),
        service: service.map(str::to_owned),
        container_instance: ON_GROUP.to_owned(),
        definition: "arn:api:1".to_owned(),
        accelerators: vec![],
        rerun: Rerun::Yes,
    }
}

fn container_instance(arn: &str, instance: &str) -> ContainerInstance {
    ContainerInstance {
        arn: arn.to_owned(),
        instance: instance.to_owned(),
        is_active: true,
        agent_connected: true,
        free: Needs {
            cpu: 1024,
            memory: 1024,
            gpus: 1,
        },
        ..Default::default()
    }
}

/// An account in which nothing is wrong.
fn healthy() -> Facts {
    let definition = Definition {
        name: "api:1".to_owned(),
        stop_timeout: 30,
        slowest: vec!["app".to_owned()],
        needs: Needs {
            cpu: 256,
            memory: 512,
            gpus: 0,
        },
    };
    Facts {
        deployment: Deployment::Deployed,
        groups: vec![group()],
        clusters: vec![Cluster {
            name: "web".to_owned(),
            instances: vec![
                container_instance(ON_GROUP, "i-00000000000000001"),
                container_instance(ELSEWHERE, "i-00000000000000002"),
            ],
            services: vec![service()],
            tasks: vec![task(Some("api")), task(None)],
            providers: vec![],
        }],
        definitions: BTreeMap::from([("arn:api:1".to_owned(), definition)]),
        delays: BTreeMap::from([(TARGET_GROUP.to_owned(), 60)]),
        ..Default::default()
    }
}

/// The findings after a change: rules and severities.
fn found(change: impl FnOnce(&mut Facts)) -> Vec<(&'static str, Severity)> {
    let mut facts = healthy();
    change(&mut facts);
    let found = examine(&facts);
    found
        .iter()
        .map(|finding| (finding.rule.id, finding.severity))
        .collect()
}

use Severity::{Critical, Info, Warning};

#[test]
fn nothing_is_found_where_nothing_is_wrong() {
    assert_eq!(found(|_| ()), []);
}

#[test]
fn every_rule_finds_what_it_is_for() {
    type Change = Box<dyn FnOnce(&mut Facts)>;
    type Case = (&'static str, Severity, Change);
    fn of_group(change: impl FnOnce(&mut Group) + 'static) -> Change {
        Box::new(move |facts| change(&mut facts.groups[0]))
    }
    fn of_service(change: impl FnOnce(&mut Service) + 'static) -> Change {
        Box::new(move |facts| change(&mut facts.clusters[0].services[0]))
    }
    fn of_tasks(change: impl Fn(&mut Task) + 'static) -> Change {
        Box::new(move |facts| facts.clusters[0].tasks.iter_mut().for_each(change))
    }
    fn delay(seconds: i64) -> Change {
        Box::new(move |facts| {
            facts.delays.insert(TARGET_GROUP.to_owned(), seconds);
            facts.clusters[0].services[0].target_groups.clear();
        })
    }
    fn suspend(process: &'static str) -> Change {
        of_group(move |g| {
            g.core.suspended.insert(process.to_owned());
        })
    }
    fn tag(key: &'static str, value: &'static str) -> Change {
        of_group(move |g| {
            g.core.tags.insert(key.to_owned(), value.to_owned());
        })
    }
    fn hook(name: &'static str, heartbeat: i64) -> Change {
        of_group(move |g| {
            let name = name.to_owned();
            g.hooks.get_or_insert_default().push(Hook { name, heartbeat });
        })
    }
    let table: Vec<Case> = vec![
        ("group-dry-run", Warning, tag("spot-handoff:dry-run", "true")),
        ("unknown-policy", Warning, tag("spot-handoff:dry-run", "yes")),
        (
            "unknown-policy",
            Warning,
            tag("spot-handoff:stratgy", "terminate"),
        ),
        (
            "left-to-die",
            Critical,
            tag("spot-handoff:standalone-tasks", "leave"),
        ),
        (
            "not-deployed",
            Critical,
            Box::new(|facts| facts.deployment = Deployment::Missing),
        ),
        (
            "not-deployed",
            Critical,
            Box::new(|facts| facts.deployment = Deployment::Disabled),
        ),
        (
            "dry-run",
            Critical,
            Box::new(|facts| {
                facts.deployment = Deployment::Deployed;
                facts.settings.dry_run = true;
            }),
        ),
        (
            "capacity-rebalancing-off",
            Warning,
            Box::new(|facts| {
                facts.groups[0].core.capacity_rebalance = false;
                facts.settings.rebalance = RebalanceAction::Ignore;
            }),
        ),
        ("opted-out", Warning, tag("spot-handoff:ignore", "true")),
        (
            "opted-out",
            Warning,
            Box::new(|facts| facts.settings.scope = Scope::Tagged),
        ),
        ("ignore-tag-false", Critical, tag("spot-handoff:ignore", "false")),
        (
            "few-pools",
            Info,
            of_group(|g| g.types = Types::Named(names(&["a.large", "b.large", "c.large"]))),
        ),
        (
            "few-pools",
            Warning,
            of_group(|g| g.types = Types::Named(names(&["a.large"]))),
        ),
        ("few-pools", Warning, of_group(|g| g.core.zones.truncate(1))),
        (
            "few-pools",
            Critical,
            of_group(|g| {
                g.core.zones.truncate(1);
                g.types = Types::Named(names(&["a.large"]));
            }),
        ),
        (
            "pool-that-is-taken",
            Warning,
            Box::new(|facts| {
                let pool = spot_handoff::report::Pool::of(Some("a.large"), Some("a"), None).expect("a pool");
                let row = crate::commands::pools::rows::Row {
                    warnings: 3,
                    ..crate::commands::pools::rows::Row::of(pool)
                };
                facts.history.insert("web".to_owned(), vec![row]);
            }),
        ),
        (
            "allocation-strategy",
            Warning,
            of_group(|g| g.strategy = Some("lowest-price".to_owned())),
        ),
        ("process-suspended", Critical, suspend("Launch")),
        ("process-suspended", Critical, suspend("AddToLoadBalancer")),
        ("process-suspended", Warning, suspend("ReplaceUnhealthy")),
        ("process-suspended", Info, suspend("AZRebalance")),
        (
            "fallback-cannot-mix",
            Warning,
            Box::new(|facts| facts.settings.fallback = SpotFallback::OnDemand),
        ),
        (
            "fallback-forbidden",
            Warning,
            tag("spot-handoff:fallback", "on-demand"),
        ),
        (
            "launch-configuration",
            Warning,
            of_group(|g| g.launch_configuration = Some("old".to_owned())),
        ),
        (
            "capacity-rebalancing-off",
            Info,
            of_group(|g| g.core.capacity_rebalance = false),
        ),
        (
            "scale-in-protection",
            Info,
            of_group(|g| g.protected = vec!["i-1".to_owned()]),
        ),
        ("scale-in-protection", Info, of_group(|g| g.protects_new = true)),
        (
            "termination-protection",
            Info,
            Box::new(|facts| {
                facts.groups[0].protected = vec!["i-1".to_owned(), "i-2".to_owned()];
                facts.clusters[0].providers.push(Provider {
                    group: "web".to_owned(),
                    protects: true,
                    ..Default::default()
                });
            }),
        ),
        (
            "classic-load-balancer",
            Warning,
            of_group(|g| g.classic_load_balancers.push("old".to_owned())),
        ),
        (
            "no-termination-hook",
            Warning,
            of_group(|g| g.hooks = Some(vec![])),
        ),
        ("hook-too-short", Warning, hook("spot-handoff-short", 30)),
        ("deregistration-delay", Warning, delay(121)),
        ("drain-blocked", Critical, of_service(|s| s.maximum_percent = 100)),
        (
            "drain-blocked",
            Warning,
            of_service(|s| {
                s.maximum_percent = 100;
                s.minimum_percent = 0;
            }),
        ),
        (
            "drain-in-rounds",
            Warning,
            Box::new(|facts| {
                let cluster = &mut facts.clusters[0];
                cluster.services[0].maximum_percent = 150;
                cluster.tasks.push(task(Some("api")));
                cluster.tasks.push(Task {
                    container_instance: ELSEWHERE.to_owned(),
                    ..task(Some("api"))
                });
            }),
        ),
        (
            "service-grace",
            Warning,
            Box::new(|facts| facts.delays.values_mut().for_each(|d| *d = 90)),
        ),
        (
            "stop-timeout",
            Warning,
            Box::new(|facts| {
                facts.clusters[0].services.clear();
                facts.definitions.values_mut().for_each(|d| d.stop_timeout = 111);
            }),
        ),
        (
            "all-in-one-place",
            Warning,
            Box::new(|facts| facts.clusters[0].tasks.push(task(Some("api")))),
        ),
        (
            "all-in-one-place",
            Warning,
            Box::new(|facts| {
                let other = "i-00000000000000003";
                facts.groups[0].core.instances.push(Member {
                    zone: "us-east-1b".to_owned(),
                    ..member(other)
                });
                let cluster = &mut facts.clusters[0];
                cluster
                    .instances
                    .push(container_instance("arn:container/3", other));
                cluster.tasks.push(Task {
                    container_instance: ELSEWHERE.to_owned(),
                    ..task(Some("api"))
                });
            }),
        ),
        ("not-run-again", Info, of_tasks(|t| t.rerun = Rerun::No)),
        (
            "rerun-roles",
            Warning,
            of_tasks(|t| {
                t.rerun = Rerun::SwitchedOff {
                    roles: names(&["arn:role/job"]),
                }
            }),
        ),
        (
            "rerun-roles",
            Warning,
            of_tasks(|t| {
                t.rerun = Rerun::RolesNotNamed {
                    roles: names(&["arn:role/job"]),
                }
            }),
        ),
        (
            "rerun-lacks-security-groups",
            Warning,
            of_tasks(|t| t.rerun = Rerun::LacksSecurityGroups),
        ),
        (
            "left-to-die",
            Critical,
            Box::new(|facts| facts.settings.standalone_tasks = StandaloneTasks::Leave),
        ),
        (
            "no-room-elsewhere",
            Warning,
            Box::new(|facts| facts.clusters[0].instances[1].free = Needs::default()),
        ),
        (
            "no-room-elsewhere",
            Critical,
            Box::new(|facts| {
                facts.definitions.values_mut().for_each(|d| d.needs.gpus = 2);
                facts.clusters[0].tasks[0].accelerators = vec![Accelerator::Gpu(2)];
            }),
        ),
        (
            "no-room-elsewhere",
            Critical,
            Box::new(|facts| {
                let cluster = &mut facts.clusters[0];
                cluster.tasks[0].accelerators = vec![Accelerator::Neuron(1)];
                cluster.instances[0].instance_type = "inf1.xlarge".to_owned();
                cluster.instances[1].instance_type = "m5.large".to_owned();
            }),
        ),
        (
            "agent-disconnected",
            Warning,
            Box::new(|facts| facts.clusters[0].instances[0].agent_connected = false),
        ),
        ("agent-spot-draining", Info, of_group(|g| g.agent_drains = true)),
    ];
    for (number, (rule, severity, change)) in table.into_iter().enumerate() {
        assert_eq!(found(change), [(rule, severity)], "case {number}");
    }
}

#[test]
fn two_settings_together_say_more_than_one() {
    let full = found(|facts| {
        facts.groups[0].core.max = 2;
        facts.groups[0].core.capacity_rebalance = false;
    });
    assert_eq!(
        full,
        [("no-headroom", Warning), ("capacity-rebalancing-off", Info)]
    );
    let alone = found(|facts| {
        let group = &mut facts.groups[0].core;
        (group.desired, group.max) = (1, 1);
        group.capacity_rebalance = false;
        group.target_groups.insert(TARGET_GROUP.to_owned());
    });
    assert!(alone.contains(&("no-headroom", Critical)), "{alone:?}");
    let slow = found(|facts| facts.delays.values_mut().for_each(|delay| *delay = 300));
    assert_eq!(
        slow,
        [("service-grace", Critical), ("deregistration-delay", Warning)]
    );
    let foreign_hook = |facts: &mut Facts| {
        let name = "upload-logs".to_owned();
        facts.groups[0]
            .hooks
            .get_or_insert_default()
            .push(Hook { name, heartbeat: 60 });
    };
    // 60 s of delay and 30 s of stopTimeout do not fit into 60 s.
    assert_eq!(
        found(foreign_hook),
        [("hook-too-short", Warning), ("hook-skipped", Warning)]
    );
    let terminating = found(|facts| {
        foreign_hook(facts);
        facts.settings.replacement = ReplacementStrategy::Terminate;
    });
    assert_eq!(terminating, [("hook-too-short", Warning)]);
}

#[test]
fn what_on_demand_fills_needs_a_hook_where_there_are_tasks() {
    use spot_handoff::autoscaling::group::Distribution;
    const NEEDED: &str = "fallback-without-hook";
    const TAG: &str = "spot-handoff:fallback";
    let mixed = Some(Distribution {
        base: 0,
        percent_above: 0,
    });
    let none: &[&str] = &[];
    for (case, fallback, tag, distribution, hooks, tasks, expected) in [
        (
            "by the parameter",
            SpotFallback::OnDemand,
            None,
            mixed,
            Some(none),
            true,
            true,
        ),
        (
            "by the tag",
            SpotFallback::Tagged,
            Some("on-demand"),
            mixed,
            Some(none),
            true,
            true,
        ),
        (
            "another hook",
            SpotFallback::OnDemand,
            None,
            mixed,
            Some(&["upload-logs"] as &[_]),
            true,
            true,
        ),
        (
            "not tagged",
            SpotFallback::Tagged,
            None,
            mixed,
            Some(none),
            true,
            false,
        ),
        (
            "tagged off",
            SpotFallback::OnDemand,
            Some("off"),
            mixed,
            Some(none),
            true,
            false,
        ),
        (
            "asked for in vain",
            SpotFallback::Off,
            Some("on-demand"),
            mixed,
            Some(none),
            true,
            false,
        ),
        (
            "not allowed",
            SpotFallback::Off,
            None,
            mixed,
            Some(none),
            true,
            false,
        ),
        (
            "it cannot be filled",
            SpotFallback::OnDemand,
            None,
            None,
            Some(none),
            true,
            false,
        ),
        (
            "a hook",
            SpotFallback::OnDemand,
            None,
            mixed,
            Some(&["spot-handoff-drain"] as &[_]),
            true,
            false,
        ),
        (
            "not known",
            SpotFallback::OnDemand,
            None,
            mixed,
            None,
            true,
            false,
        ),
        (
            "no tasks",
            SpotFallback::OnDemand,
            None,
            mixed,
            Some(none),
            false,
            false,
        ),
    ] {
        let mut facts = healthy();
        facts.settings.fallback = fallback;
        let group = &mut facts.groups[0];
        group.core.distribution = distribution;
        group
            .core
            .tags
            .extend(tag.map(|tag| (TAG.to_owned(), tag.to_owned())));
        group.hooks = hooks.map(|names| {
            let hook = |name: &&str| Hook {
                name: name.to_string(),
                heartbeat: 300,
            };
            names.iter().map(hook).collect()
        });
        if !tasks {
            facts.clusters.clear();
        }
        let findings = examine(&facts);
        let needed = findings.iter().find(|finding| finding.rule.id == NEEDED);
        assert_eq!(needed.is_some(), expected, "{case}");
        let says_how = |finding: &Finding| {
            finding
                .fix
                .contains("put-lifecycle-hook --auto-scaling-group-name web")
        };
        assert!(needed.is_none_or(says_how), "{case}");
    }
}

#[test]
fn what_is_no_risk_or_cannot_be_known_is_not_reported() {
    let spoil = |group: &mut Group| {
        group.strategy = Some("lowest-price".to_owned());
        group.core.suspended.insert("Launch".to_owned());
    };
    let on_demand = found(|facts| {
        spoil(&mut facts.groups[0]);
        facts.groups[0].purchase = Purchase::OnDemand;
    });
    assert_eq!(on_demand, [], "never interrupted");
    let unread = found(|facts| {
        facts.groups[0].hooks = None;
        facts.delays.clear();
        facts.definitions.clear();
    });
    assert_eq!(unread, [], "unread is not the same as missing");
    let drained_by_ecs = found(|facts| {
        facts.groups[0].hooks = Some(vec![]);
        facts.clusters[0].providers.push(Provider {
            group: "web".to_owned(),
            drains: true,
            ..Default::default()
        });
    });
    assert_eq!(drained_by_ecs, []);
}

#[test]
fn a_stop_script_is_held_against_its_document_its_instances_and_the_notice() {
    let all: BTreeSet<String> = names(&["i-00000000000000001", "i-00000000000000002"]);
    let found = |tags: &[(&str, &str)], document, managed: Option<BTreeSet<String>>| {
        let mut facts = healthy();
        let group = &mut facts.groups[0];
        let tags = tags
            .iter()
            .map(|(key, value)| (key.to_string(), value.to_string()));
        group.core.tags.extend(tags);
        let script = Script { document, managed };
        facts.scripts = BTreeMap::from([("web".to_owned(), script)]);
        let findings = examine(&facts).into_iter();
        findings.map(|finding| finding.rule.id).collect::<Vec<_>>()
    };
    let named = ("spot-handoff:stop-document", "checkpoint");
    let seconds = |seconds| ("spot-handoff:stop-seconds", seconds);
    let tagged = Some(Document::Tagged);
    assert_eq!(found(&[named], tagged, Some(all.clone())), [] as [&str; 0]);
    assert_eq!(
        found(&[named], None, None),
        [] as [&str; 0],
        "unread is not the same as missing"
    );
    let one = names(&["i-00000000000000001"]);
    assert_eq!(found(&[named], tagged, Some(one)), ["stop-script-not-managed"]);
    for document in [Document::Untagged, Document::Missing] {
        let found = found(&[named], Some(document), Some(all.clone()));
        assert_eq!(found, ["stop-script-document"], "{document:?}");
    }
    assert_eq!(
        found(&[named, seconds("100")], tagged, Some(all.clone())),
        [] as [&str; 0]
    );
    assert_eq!(
        found(&[named, seconds("101")], tagged, Some(all.clone())),
        ["stop-script-too-long"]
    );
    assert_eq!(
        found(&[named, seconds("soon")], tagged, Some(all)),
        ["stop-script-tags"]
    );
}

#[test]
fn rules_have_names_of_their_own_and_a_page_of_aws() {
    let ids: BTreeSet<&str> = all().map(|rule| rule.id).collect();
    assert_eq!(ids.len(), all().count());
    for rule in all() {
        assert!(
            rule.page.starts_with("https://docs.aws.amazon.com/"),
            "{}",
            rule.id
        );
    }
}
