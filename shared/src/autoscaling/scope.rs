//! Which Auto Scaling groups spot-handoff may act on.
//!
//! It never touches three kinds of group, whatever their tags or `SCOPE` say. Somebody else takes care of their
//! instances, and spot-handoff would undo their work.
//!
//! - Groups of AWS Batch, recognised by their names: [`aws_batch`].
//! - Groups of Kubernetes. EKS tags the groups of its managed node groups `eks:cluster-name` and
//!   `eks:nodegroup-name`, and drains them itself with Capacity Rebalancing. Self-managed nodes have the tag
//!   `kubernetes.io/cluster/NAME`.
//!   <https://docs.aws.amazon.com/eks/latest/userguide/managed-node-groups.html>
//! - Groups with an operator. Only the operator may change them.
//!   <https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_Operator.html>

use std::collections::BTreeMap;
use std::fmt;

use super::group::Group;
use crate::ecs::aws_batch;
use crate::runtime::config::Scope;

/// All functions leave a group with this tag alone.
pub const IGNORE_TAG: &str = "spot-handoff:ignore";
/// With `SCOPE=tagged`, the functions act only on groups with this tag.
pub const MANAGED_TAG: &str = "spot-handoff:managed";

/// The tags that EKS puts on the group of a managed node group.
const EKS_TAGS: [&str; 2] = ["eks:cluster-name", "eks:nodegroup-name"];
/// How the tag begins that marks what belongs to a Kubernetes cluster.
const KUBERNETES_PREFIX: &str = "kubernetes.io/cluster/";

/// Why spot-handoff may not act on a group, or on an instance in no group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutOfScope {
    /// The group carries [`IGNORE_TAG`].
    Ignored {
        /// The group.
        group: String,
    },
    /// `SCOPE=tagged`, and the group does not carry [`MANAGED_TAG`].
    NotTagged {
        /// The group.
        group: String,
    },
    /// `SCOPE=tagged`, and the instance is in no group.
    InNoGroup,
    /// The group belongs to AWS Batch.
    OfAwsBatch {
        /// The group.
        group: String,
    },
    /// The group belongs to Kubernetes.
    OfKubernetes {
        /// The group.
        group: String,
        /// The tag that says so.
        tag: String,
    },
    /// A service of AWS operates the group.
    Operated {
        /// The group.
        group: String,
        /// Its service principal.
        operator: String,
    },
}

impl OutOfScope {
    /// Whether the group belongs to somebody else, so that no setting of ours changes that.
    pub fn is_for_good(&self) -> bool {
        match self {
            Self::OfAwsBatch { .. } | Self::OfKubernetes { .. } | Self::Operated { .. } => true,
            Self::Ignored { .. } | Self::NotTagged { .. } | Self::InNoGroup => false,
        }
    }
}

impl fmt::Display for OutOfScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ignored { group } => write!(f, "Auto Scaling group {group} is tagged {IGNORE_TAG}"),
            Self::NotTagged { group } => write!(
                f,
                "Scope is `tagged` and Auto Scaling group {group} has no tag {MANAGED_TAG}"
            ),
            Self::InNoGroup => write!(
                f,
                "Scope is `tagged` and the instance is in no Auto Scaling group"
            ),
            Self::OfAwsBatch { group } => write!(
                f,
                "Auto Scaling group {group} is managed by AWS Batch, which takes care of its jobs itself"
            ),
            Self::OfKubernetes { group, tag } => write!(
                f,
                "Auto Scaling group {group} is one of Kubernetes (tag {tag}), which drains its nodes itself"
            ),
            Self::Operated { group, operator } => write!(
                f,
                "Auto Scaling group {group} is operated by {operator}, which alone may change it"
            ),
        }
    }
}

/// The tag that says that a resource belongs to Kubernetes, if it has one.
pub fn tag_of_kubernetes(tags: &BTreeMap<String, String>) -> Option<&str> {
    let mut keys = tags.keys().map(String::as_str);
    keys.find(|key| EKS_TAGS.contains(key) || key.starts_with(KUBERNETES_PREFIX))
}

/// Whether a tag is set: its value is anything but `false`.
fn is_set(group: &Group, tag: &str) -> bool {
    group.tags.get(tag).is_some_and(|value| value != "false")
}

impl Scope {
    /// Whether spot-handoff may act on a group, or on an instance in no group.
    ///
    /// # Errors
    /// The reason, if it may not. A tag of ours counts as set unless its value is `false`.
    pub fn admits(self, group: Option<&Group>) -> Result<(), OutOfScope> {
        let Some(group) = group else {
            return match self {
                Self::All => Ok(()),
                Self::Tagged => Err(OutOfScope::InNoGroup),
            };
        };
        let name = || group.name.clone();
        if aws_batch::manages(&group.name) {
            return Err(OutOfScope::OfAwsBatch { group: name() });
        }
        if let Some(tag) = tag_of_kubernetes(&group.tags) {
            let tag = tag.to_owned();
            return Err(OutOfScope::OfKubernetes { group: name(), tag });
        }
        if let Some(operator) = group.operator.clone() {
            return Err(OutOfScope::Operated {
                group: name(),
                operator,
            });
        }
        if is_set(group, IGNORE_TAG) {
            return Err(OutOfScope::Ignored { group: name() });
        }
        match self {
            Self::Tagged if !is_set(group, MANAGED_TAG) => Err(OutOfScope::NotTagged { group: name() }),
            Self::All | Self::Tagged => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(tags: &[(&str, &str)]) -> Group {
        let tags = tags.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        Group {
            name: "g".to_owned(),
            tags,
            ..Group::default()
        }
    }

    #[test]
    fn tags_decide_which_groups_are_ours() {
        let name = || "g".to_owned();
        let ignored = || Err(OutOfScope::Ignored { group: name() });
        let not_tagged = || Err(OutOfScope::NotTagged { group: name() });
        let table = [
            (Scope::All, vec![], Ok(())),
            (Scope::All, vec![(IGNORE_TAG, "true")], ignored()),
            (Scope::All, vec![(IGNORE_TAG, "")], ignored()),
            (Scope::All, vec![(IGNORE_TAG, "false")], Ok(())),
            (Scope::Tagged, vec![], not_tagged()),
            (Scope::Tagged, vec![(MANAGED_TAG, "false")], not_tagged()),
            (Scope::Tagged, vec![(MANAGED_TAG, "true")], Ok(())),
            (
                Scope::Tagged,
                vec![(MANAGED_TAG, "true"), (IGNORE_TAG, "true")],
                ignored(),
            ),
        ];
        for (scope, tags, expected) in table {
            assert_eq!(scope.admits(Some(&group(&tags))), expected, "{scope:?} {tags:?}");
        }
        assert_eq!(Scope::All.admits(None), Ok(()));
        assert_eq!(Scope::Tagged.admits(None), Err(OutOfScope::InNoGroup));
    }

    #[test]
    fn what_somebody_else_manages_is_never_ours() {
        let managed = [(MANAGED_TAG, "true")];
        let with = |tag: &str| group(&[managed[0], (tag, "anything")]);
        let named = |name: &str| Group {
            name: name.to_owned(),
            ..group(&managed)
        };
        let operated = Group {
            operator: Some("ecs.amazonaws.com".to_owned()),
            ..group(&managed)
        };
        let table = [
            (with("eks:cluster-name"), true),
            (with("eks:nodegroup-name"), true),
            (with("kubernetes.io/cluster/web"), true),
            // Tags that people choose themselves.
            (with("kubernetes.io/role"), false),
            (with("eks"), false),
            (named("AWSBatch-training-asg"), true),
            (named("training"), false),
            (operated, true),
        ];
        for (group, expected) in table {
            for scope in [Scope::All, Scope::Tagged] {
                let left = scope.admits(Some(&group)).is_err_and(|why| why.is_for_good());
                assert_eq!(left, expected, "{scope:?} {group:?}");
            }
        }
    }
}
