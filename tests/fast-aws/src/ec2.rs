//! Amazon EC2: instances and their tags.

use aws_smithy_xml::encode::XmlWriter;

use super::account::Account;
use super::error::{Answer, AwsError};
use super::fleet::{ACCOUNT, Instance};
use super::form::Form;
use super::xml;

pub(crate) fn describe_instances(account: &Account, form: &Form) -> Answer {
    let ids = form.list("InstanceId");
    let find = |id: &str| {
        let missing = || {
            AwsError::new(
                "InvalidInstanceID.NotFound",
                format!("The instance ID '{id}' does not exist"),
            )
        };
        account.instances.get(id).ok_or_else(missing)
    };
    let found: Vec<&Instance> = if ids.is_empty() {
        account.instances.values().collect()
    } else {
        ids.into_iter().map(find).collect::<Result<_, _>>()?
    };
    let mut text = String::new();
    let mut writer = XmlWriter::new(&mut text);
    let mut response = writer.start_el("DescribeInstancesResponse").finish();
    xml::leaf(&mut response, "requestId", "0");
    items(&mut response, "reservationSet", found, |reservation, instance| {
        xml::leaf(reservation, "reservationId", "r-1");
        xml::leaf(reservation, "ownerId", ACCOUNT);
        items(reservation, "instancesSet", [instance], |one, instance| {
            xml::leaf(one, "instanceId", &instance.id);
            xml::inside(one, "instanceState", |state| {
                xml::leaf(state, "code", if instance.state == "running" { 16 } else { 48 });
                xml::leaf(state, "name", &instance.state);
            });
            xml::inside(one, "placement", |placement| {
                xml::leaf(placement, "availabilityZone", &instance.zone)
            });
            xml::optional(one, "privateIpAddress", instance.private_ip.as_deref());
            let group = account
                .groups
                .name_of(&instance.id)
                .map(|name| ("aws:autoscaling:groupName", name));
            let tags = instance
                .tags
                .iter()
                .map(|(key, value)| (key.as_str(), value.as_str()))
                .chain(group);
            items(one, "tagSet", tags, |tag, (key, value)| {
                xml::leaf(tag, "key", key);
                xml::leaf(tag, "value", value);
            });
        });
    });
    response.finish();
    Ok(text)
}

/// A list as EC2 writes it.
fn items<T>(
    parent: &mut aws_smithy_xml::encode::ScopeWriter<'_, '_>,
    name: &str,
    items: impl IntoIterator<Item = T>,
    mut write: impl FnMut(&mut aws_smithy_xml::encode::ScopeWriter<'_, '_>, T),
) {
    xml::inside(parent, name, |list| {
        for item in items {
            xml::inside(list, "item", |one| write(one, item));
        }
    });
}
