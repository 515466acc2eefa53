//! Stop scripts: the documents that groups name with a tag, and whether Systems Manager can run them on their
//! instances.

use std::collections::{BTreeMap, BTreeSet};

use aws_config::SdkConfig;
use aws_sdk_ssm::Client;
use aws_sdk_ssm::error::ProvideErrorMetadata;
use aws_sdk_ssm::types::{InstanceInformationStringFilter, PingStatus, ResourceTypeForTagging};
use spot_handoff::autoscaling::policies::{self, StopDocument};
use spot_handoff::runtime::invocation::together;

use super::Group;
use super::reading::Reader;

/// run-commands may send only documents with this tag.
const TAG: &str = "spot-handoff:document";
/// <https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_DescribeInstanceInformation.html>
const INSTANCES_PER_CALL: usize = 50;

/// The stop script of a group, as far as it could be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Script {
    /// The state of its document; `None` if it could not be read.
    pub document: Option<Document>,
    /// The instances that are online in Systems Manager; `None` if that could not be read.
    pub managed: Option<BTreeSet<String>>,
}

/// A document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Document {
    /// The document exists, with the tag.
    Tagged,
    /// The document exists, but without the tag.
    Untagged,
    /// The document does not exist.
    Missing,
}

/// Reads the scripts of these groups, by the name of the group. Makes no call for a group without a script.
pub async fn read(
    config: &SdkConfig,
    reader: &Reader,
    groups: impl Iterator<Item = &Group>,
) -> BTreeMap<String, Script> {
    let client = Client::new(config);
    let calls = groups.filter_map(|group| {
        let (document, _) = policies::of_group(Some(&group.core), StopDocument::default());
        let document = document.0?;
        let client = &client;
        Some(async move {
            let (document, managed) = tokio::join!(
                document_of(client, reader, &document),
                managed(client, reader, group)
            );
            (group.name().to_owned(), Script { document, managed })
        })
    });
    together(calls).await.into_iter().collect()
}

async fn document_of(client: &Client, reader: &Reader, document: &str) -> Option<Document> {
    // The call for tags takes a name, and the group's tag may have an ARN.
    let name = document.rsplit('/').next().unwrap_or(document);
    let asking = async {
        let sending = client
            .list_tags_for_resource()
            .resource_type(ResourceTypeForTagging::Document)
            .resource_id(name)
            .send();
        match sending.await {
            Err(error) if error.code() == Some("InvalidResourceId") => Ok(None),
            answer => answer.map(Some),
        }
    };
    let answer = reader.call(document, "ListTagsForResource", asking).await?;
    Some(match answer {
        None => Document::Missing,
        Some(answer) if answer.tag_list().iter().any(|tag| tag.key() == TAG) => Document::Tagged,
        Some(_) => Document::Untagged,
    })
}

async fn managed(client: &Client, reader: &Reader, group: &Group) -> Option<BTreeSet<String>> {
    let ids: Vec<String> = group
        .core
        .instances
        .iter()
        .map(|member| member.id.to_string())
        .collect();
    let calls = ids.chunks(INSTANCES_PER_CALL).map(|chunk| async move {
        let filter = InstanceInformationStringFilter::builder()
            .key("InstanceIds")
            .set_values(Some(chunk.to_vec()))
            .build()
            .ok()?;
        let pages = client
            .describe_instance_information()
            .filters(filter)
            .into_paginator()
            .items()
            .send()
            .collect::<Result<Vec<_>, _>>();
        reader
            .call(group.name(), "DescribeInstanceInformation", pages)
            .await
    });
    let found: Option<Vec<_>> = together(calls).await.into_iter().collect();
    let online = found?
        .into_iter()
        .flatten()
        .filter(|one| one.ping_status() == Some(&PingStatus::Online));
    Some(online.filter_map(|one| one.instance_id).collect())
}
