//! Elastic Load Balancing: targets by id and port.

use std::collections::BTreeMap;

use super::account::Account;
use super::error::{Answer, AwsError};
use super::fleet;
use super::form::Form;
use super::page::page;
use super::record::Write;
use super::xml;

/// A target group with the state of its targets.
pub(crate) struct TargetGroup {
    pub(crate) of: fleet::TargetGroup,
    /// Whether it is draining, by id and port.
    pub(crate) targets: BTreeMap<(String, u16), bool>,
}

impl TargetGroup {
    pub(crate) fn new(of: fleet::TargetGroup) -> Self {
        let targets = of.targets.iter().map(|target| (target.clone(), false)).collect();
        Self { of, targets }
    }

    pub(crate) fn register(&mut self, id: &str) {
        self.targets.insert((id.to_owned(), self.of.port), false);
    }

    /// The ports that an id is registered with.
    pub(crate) fn ports_of(&self, id: &str) -> Vec<u16> {
        let from = (id.to_owned(), 0);
        self.targets
            .range(from..)
            .take_while(|((of, _), _)| of == id)
            .map(|((_, port), _)| *port)
            .collect()
    }
}

/// The one that sends requests to all target groups.
const LOAD_BALANCER: &str =
    "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/app/fleet/50dc6c495c0c9188";

fn not_found() -> AwsError {
    AwsError::new("TargetGroupNotFound", "One or more target groups not found")
}

fn named<'a>(account: &'a Account, form: &Form) -> Result<&'a TargetGroup, AwsError> {
    account
        .target_groups
        .get(form.required("TargetGroupArn")?)
        .ok_or_else(not_found)
}

pub(crate) fn describe_health(account: &Account, form: &Form) -> Answer {
    let group = named(account, form)?;
    Ok(xml::answer("DescribeTargetHealth", |result| {
        xml::members(
            result,
            "TargetHealthDescriptions",
            &group.targets,
            |one, ((id, port), draining)| {
                xml::inside(one, "Target", |target| {
                    xml::leaf(target, "Id", id);
                    xml::leaf(target, "Port", port);
                });
                xml::leaf(one, "HealthCheckPort", port);
                xml::inside(one, "TargetHealth", |health| {
                    xml::leaf(health, "State", if *draining { "draining" } else { "healthy" });
                    if *draining {
                        xml::leaf(health, "Reason", "Target.DeregistrationInProgress");
                    }
                });
            },
        );
    }))
}

pub(crate) fn describe_groups(account: &Account, form: &Form) -> Answer {
    let arns = form.list("TargetGroupArns");
    let found: Vec<&TargetGroup> = if arns.is_empty() {
        account.target_groups.values().collect()
    } else {
        let each = arns
            .into_iter()
            .map(|arn| account.target_groups.get(arn).ok_or_else(not_found));
        each.collect::<Result<_, _>>()?
    };
    let size = form.get("PageSize").and_then(|n| n.parse().ok()).unwrap_or(400);
    let bad_token = AwsError::validation("The marker is not valid");
    let (found, marker) = page(found, form.get("Marker"), account.page_size(size), &bad_token)?;
    Ok(xml::answer("DescribeTargetGroups", |result| {
        xml::members(result, "TargetGroups", found, |one, group| {
            xml::leaf(one, "TargetGroupArn", &group.of.arn);
            xml::leaf(one, "TargetGroupName", &group.of.name);
            xml::leaf(one, "Protocol", "HTTP");
            xml::leaf(one, "Port", group.of.port);
            xml::leaf(one, "TargetType", &group.of.target_type);
            xml::values(one, "LoadBalancerArns", [LOAD_BALANCER]);
        });
        xml::optional(result, "NextMarker", marker);
    }))
}

pub(crate) fn describe_attributes(account: &Account, form: &Form) -> Answer {
    let group = named(account, form)?;
    Ok(xml::answer("DescribeTargetGroupAttributes", |result| {
        let delay = ("deregistration_delay.timeout_seconds", group.of.delay);
        xml::members(result, "Attributes", [delay], |one, (key, value)| {
            xml::leaf(one, "Key", key);
            xml::leaf(one, "Value", value);
        });
    }))
}

/// The target groups of the fleet have no tags.
pub(crate) fn describe_tags(account: &Account, form: &Form) -> Answer {
    let arns = form.list("ResourceArns");
    if arns.iter().any(|arn| !account.target_groups.contains_key(*arn)) {
        return Err(not_found());
    }
    Ok(xml::answer("DescribeTags", |result| {
        xml::members(result, "TagDescriptions", arns, |one, arn| {
            xml::leaf(one, "ResourceArn", arn);
        });
    }))
}

pub(crate) fn deregister_targets(account: &mut Account, form: &Form) -> Answer {
    let group = named(account, form)?;
    let (arn, default_port) = (group.of.arn.clone(), group.of.port);
    for target in form.structures("Targets") {
        let port = target
            .get("Port")
            .and_then(|port| port.parse().ok())
            .unwrap_or(default_port);
        deregister(account, &arn, target.required("Id")?, port);
    }
    Ok(xml::answer("DeregisterTargets", |_| {}))
}

/// A target that is not registered is left out without an error, as AWS does.
pub(crate) fn deregister(account: &mut Account, arn: &str, id: &str, port: u16) {
    let Some(group) = account.target_groups.get_mut(arn) else {
        return;
    };
    if let Some(draining) = group.targets.get_mut(&(id.to_owned(), port))
        && !*draining
    {
        *draining = true;
        let target_group = arn.to_owned();
        account.record.write(Write::Deregistered {
            target_group,
            target: id.to_owned(),
        });
    }
}
