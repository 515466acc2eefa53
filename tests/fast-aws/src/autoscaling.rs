//! Amazon EC2 Auto Scaling: who is in which group, and who leaves.

use std::collections::{BTreeMap, HashMap};

use super::account::Account;
use super::elbv2;
use super::error::{Answer, AwsError, too_long};
use super::fleet::{ACCOUNT, Group, Instance, Member, REGION};
use super::form::Form;
use super::page::page;
use super::record::Write;
use super::xml;

/// The groups of the account.
#[derive(Default)]
pub(crate) struct Groups {
    pub(crate) by_name: BTreeMap<String, Group>,
    /// The group of each member.
    of_instance: HashMap<String, String>,
    launched: u64,
}

impl Groups {
    pub(crate) fn new(groups: Vec<Group>) -> Self {
        let members = groups
            .iter()
            .flat_map(|group| group.members.iter().map(|m| (m.id.clone(), group.name.clone())));
        Self {
            of_instance: members.collect(),
            by_name: groups
                .into_iter()
                .map(|group| (group.name.clone(), group))
                .collect(),
            launched: 0,
        }
    }

    pub(crate) fn name_of(&self, instance: &str) -> Option<&str> {
        self.of_instance.get(instance).map(String::as_str)
    }

    fn named(&mut self, name: &str) -> Result<&mut Group, AwsError> {
        let unknown = || {
            AwsError::validation(format!(
                "AutoScalingGroup name not found - AutoScalingGroup '{name}' not found"
            ))
        };
        self.by_name.get_mut(name).ok_or_else(unknown)
    }
}

fn bad_token() -> AwsError {
    AwsError::new("InvalidNextToken", "The token is not valid")
}

pub(crate) fn describe_instances(account: &Account, form: &Form) -> Answer {
    let ids = form.list("InstanceIds");
    if ids.len() > 50 {
        return Err(AwsError::validation(too_long("instanceIds", 50)));
    }
    // Ids that nobody knows are left out.
    let of = |id: &str| {
        let group = account.groups.by_name.get(account.groups.name_of(id)?)?;
        Some((
            group.name.clone(),
            group.members.iter().find(|member| member.id == id)?.clone(),
        ))
    };
    let everybody = || {
        account
            .groups
            .by_name
            .values()
            .flat_map(|g| g.members.iter().map(|m| (g.name.clone(), m.clone())))
            .collect()
    };
    let found: Vec<(String, Member)> = if ids.is_empty() {
        everybody()
    } else {
        ids.into_iter().filter_map(of).collect()
    };
    let (found, token) = page(found, form.get("NextToken"), account.page_size(50), &bad_token())?;
    Ok(xml::answer("DescribeAutoScalingInstances", |result| {
        xml::members(result, "AutoScalingInstances", found, |one, (group, member)| {
            xml::leaf(one, "InstanceId", &member.id);
            xml::leaf(one, "AutoScalingGroupName", &group);
            xml::leaf(one, "AvailabilityZone", &member.zone);
            xml::leaf(one, "LifecycleState", &member.lifecycle);
            xml::leaf(one, "HealthStatus", "HEALTHY");
            xml::leaf(one, "ProtectedFromScaleIn", false);
        });
        xml::optional(result, "NextToken", token);
    }))
}

pub(crate) fn describe_groups(account: &Account, form: &Form) -> Answer {
    let names = form.list("AutoScalingGroupNames");
    let size = form.get("MaxRecords").and_then(|n| n.parse().ok()).unwrap_or(50);
    if names.len() > size.max(50) {
        return Err(AwsError::validation(too_long(
            "autoScalingGroupNames",
            size.max(50),
        )));
    }
    let groups = &account.groups.by_name;
    let found: Vec<&Group> = if names.is_empty() {
        groups.values().collect()
    } else {
        names.into_iter().filter_map(|name| groups.get(name)).collect()
    };
    let (found, token) = page(
        found,
        form.get("NextToken"),
        account.page_size(size.min(100)),
        &bad_token(),
    )?;
    Ok(xml::answer("DescribeAutoScalingGroups", |result| {
        xml::members(result, "AutoScalingGroups", found, write_group);
        xml::optional(result, "NextToken", token);
    }))
}

/// Here no launch takes time, and none fails. So there is nothing to tell.
pub(crate) fn describe_activities() -> String {
    let none: [&str; 0] = [];
    xml::answer("DescribeScalingActivities", |result| {
        xml::members(result, "Activities", none, |_, _| {});
    })
}

fn write_group(one: &mut aws_smithy_xml::encode::ScopeWriter<'_, '_>, group: &Group) {
    xml::leaf(one, "AutoScalingGroupName", &group.name);
    xml::leaf(
        one,
        "AutoScalingGroupARN",
        format!(
            "arn:aws:autoscaling:{REGION}:{ACCOUNT}:autoScalingGroup:1:autoScalingGroupName/{}",
            group.name
        ),
    );
    xml::leaf(one, "MinSize", group.min);
    xml::leaf(one, "MaxSize", group.max);
    xml::leaf(one, "DesiredCapacity", group.desired);
    xml::leaf(one, "DefaultCooldown", 300);
    xml::leaf(one, "HealthCheckType", "EC2");
    xml::leaf(one, "CreatedTime", "2026-01-01T00:00:00Z");
    xml::leaf(one, "CapacityRebalance", group.capacity_rebalance);
    xml::values(one, "AvailabilityZones", group.zones.iter().map(String::as_str));
    xml::values(
        one,
        "TargetGroupARNs",
        group.target_groups.iter().map(String::as_str),
    );
    xml::members(one, "SuspendedProcesses", &group.suspended, |one, name| {
        xml::leaf(one, "ProcessName", name)
    });
    xml::members(one, "Tags", &group.tags, |one, (key, value)| {
        xml::leaf(one, "ResourceId", &group.name);
        xml::leaf(one, "ResourceType", "auto-scaling-group");
        xml::leaf(one, "Key", key);
        xml::leaf(one, "Value", value);
        xml::leaf(one, "PropagateAtLaunch", false);
    });
    match (&group.launch_template, group.distribution) {
        (Some(template), Some((base, percentage))) => xml::inside(one, "MixedInstancesPolicy", |policy| {
            xml::inside(policy, "LaunchTemplate", |outer| {
                xml::inside(outer, "LaunchTemplateSpecification", |inner| {
                    xml::leaf(inner, "LaunchTemplateName", template)
                });
            });
            xml::inside(policy, "InstancesDistribution", |distribution| {
                xml::leaf(distribution, "OnDemandBaseCapacity", base);
                xml::leaf(distribution, "OnDemandPercentageAboveBaseCapacity", percentage);
            });
        }),
        (Some(template), None) => xml::inside(one, "LaunchTemplate", |inner| {
            xml::leaf(inner, "LaunchTemplateName", template)
        }),
        (None, _) => xml::leaf(one, "LaunchConfigurationName", &group.name),
    }
    xml::members(one, "Instances", &group.members, |one, member| {
        xml::leaf(one, "InstanceId", &member.id);
        xml::leaf(one, "AvailabilityZone", &member.zone);
        xml::leaf(one, "LifecycleState", &member.lifecycle);
        xml::leaf(one, "HealthStatus", "Healthy");
        xml::leaf(one, "ProtectedFromScaleIn", false);
    });
}

pub(crate) fn detach(account: &mut Account, form: &Form) -> Answer {
    let name = form.required("AutoScalingGroupName")?.to_owned();
    let decrement = form.flag("ShouldDecrementDesiredCapacity");
    let ids: Vec<String> = form.list("InstanceIds").into_iter().map(str::to_owned).collect();
    let group = account.groups.named(&name)?;
    if ids.len() > 20 {
        return Err(AwsError::validation(
            "List exceeds the maximum number of instances to detach. Please retry your request with fewer instances.",
        ));
    }
    // It checks all instances before it touches any: the call succeeds or fails as a whole.
    for id in &ids {
        match group.members.iter().find(|member| member.id == *id) {
            None => {
                return Err(AwsError::validation(format!(
                    "The instance {id} is not part of Auto Scaling group {name}."
                )));
            }
            Some(member) if !matches!(member.lifecycle.as_str(), "InService" | "Standby") => {
                return Err(AwsError::validation(format!(
                    "The instance {id} is not in InService or Standby."
                )));
            }
            Some(_) => {}
        }
    }
    if decrement {
        let count = i64::try_from(ids.len()).unwrap_or(i64::MAX);
        if group.desired - count < group.min {
            let Group {
                min, max, desired, ..
            } = group;
            return Err(AwsError::validation(format!(
                "AutoScalingGroup {name} has min-size={min}, max-size={max}, and desired-size={desired}. To detach \
                 {count} instance, please update the AutoScalingGroup sizes appropriately."
            )));
        }
        group.desired -= count;
    }
    for id in &ids {
        leave(account, &name, id);
    }
    settle(account, &name);
    Ok(activities("DetachInstances", &ids, &name))
}

pub(crate) fn set_desired(account: &mut Account, form: &Form) -> Answer {
    let name = form.required("AutoScalingGroupName")?.to_owned();
    let not_a_number = |_| AwsError::validation("DesiredCapacity is not a number");
    let desired: i64 = form.required("DesiredCapacity")?.parse().map_err(not_a_number)?;
    let group = account.groups.named(&name)?;
    if desired > group.max {
        let max = group.max;
        return Err(AwsError::validation(format!(
            "New SetDesiredCapacity value {desired} is above max value {max} for the AutoScalingGroup."
        )));
    }
    if desired < group.min {
        let min = group.min;
        return Err(AwsError::validation(format!(
            "New SetDesiredCapacity value {desired} is below min value {min} for the AutoScalingGroup."
        )));
    }
    group.desired = desired;
    settle(account, &name);
    Ok(xml::answer("SetDesiredCapacity", |_| {}))
}

pub(crate) fn terminate(account: &mut Account, form: &Form) -> Answer {
    let id = form.required("InstanceId")?.to_owned();
    let decrement = form.flag("ShouldDecrementDesiredCapacity");
    let unknown = || {
        AwsError::validation(format!(
            "Instance Id not found - No managed instance found for instance ID: {id}"
        ))
    };
    let name = account.groups.name_of(&id).ok_or_else(unknown)?.to_owned();
    let group = account.groups.named(&name)?;
    if decrement {
        if group.desired - 1 < group.min {
            return Err(AwsError::validation(format!(
                "Currently, desiredSize equals minSize ({}). Terminating instance without replacement will violate group's \
                 min size constraint. Either set shouldDecrementDesiredCapacity flag to false or lower group's min size.",
                group.min
            )));
        }
        group.desired -= 1;
    }
    leave(account, &name, &id);
    if let Some(instance) = account.instances.get_mut(&id) {
        "terminated".clone_into(&mut instance.state);
    }
    settle(account, &name);
    let activity = format!("Terminating EC2 instance: {id}");
    Ok(xml::answer("TerminateInstanceInAutoScalingGroup", |result| {
        xml::inside(result, "Activity", |one| write_activity(one, &name, &activity));
    }))
}

fn activities(action: &str, ids: &[String], group: &str) -> String {
    xml::answer(action, |result| {
        xml::members(result, "Activities", ids, |one, id| {
            write_activity(one, group, &format!("Detaching EC2 instance: {id}"))
        });
    })
}

fn write_activity(one: &mut aws_smithy_xml::encode::ScopeWriter<'_, '_>, group: &str, description: &str) {
    xml::leaf(one, "ActivityId", "0");
    xml::leaf(one, "AutoScalingGroupName", group);
    xml::leaf(one, "Description", description);
    xml::leaf(one, "Cause", "a user request");
    xml::leaf(one, "StartTime", "2026-01-01T00:00:00Z");
    xml::leaf(one, "StatusCode", "InProgress");
}

/// An instance leaves its group, and the target groups attached to it: Auto Scaling deregisters it itself.
fn leave(account: &mut Account, name: &str, id: &str) {
    account.groups.of_instance.remove(id);
    let Some(group) = account.groups.by_name.get_mut(name) else {
        return;
    };
    group.members.retain(|member| member.id != id);
    for arn in group.target_groups.clone() {
        let ports: Vec<u16> = account
            .target_groups
            .get(&arn)
            .map(|g| g.ports_of(id))
            .unwrap_or_default();
        for port in ports {
            elbv2::deregister(account, &arn, id, port);
        }
    }
    account.record.write(Write::Left {
        instance: id.to_owned(),
    });
}

/// Launches what is missing. The instances are in service and registered at once, as in the still world of the
/// embedded AWS.
fn settle(account: &mut Account, name: &str) {
    loop {
        account.groups.launched += 1;
        let id = format!("i-ff{:015x}", account.groups.launched);
        let Some(group) = account.groups.by_name.get_mut(name) else {
            return;
        };
        let missing = group.desired - i64::try_from(group.members.len()).unwrap_or(i64::MAX);
        if missing <= 0 || group.suspended.iter().any(|process| process == "Launch") {
            return;
        }
        let zone = zone_with_fewest(group);
        group.members.push(Member {
            id: id.clone(),
            zone: zone.clone(),
            lifecycle: "InService".to_owned(),
        });
        let arns = group.target_groups.clone();
        account.groups.of_instance.insert(id.clone(), name.to_owned());
        let instance = Instance {
            id: id.clone(),
            zone,
            state: "running".to_owned(),
            private_ip: None,
            tags: BTreeMap::new(),
        };
        account.instances.insert(id.clone(), instance);
        for arn in arns {
            if let Some(target_group) = account.target_groups.get_mut(&arn) {
                target_group.register(&id);
            }
        }
    }
}

fn zone_with_fewest(group: &Group) -> String {
    let count = |zone: &String| group.members.iter().filter(|member| member.zone == *zone).count();
    group
        .zones
        .iter()
        .min_by_key(|zone| count(zone))
        .cloned()
        .unwrap_or_default()
}

pub(crate) fn put_tags(account: &mut Account, form: &Form) -> Answer {
    for tag in form.structures("Tags") {
        let (key, value) = (
            tag.required("Key")?.to_owned(),
            tag.get("Value").unwrap_or_default().to_owned(),
        );
        account
            .groups
            .named(tag.required("ResourceId")?)?
            .tags
            .insert(key, value);
    }
    Ok(xml::answer("CreateOrUpdateTags", |_| {}))
}
