//! The id of an EC2 instance, checked.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The id of an EC2 instance: `i-` and 8 or 17 hexadecimal digits.
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/resource-ids.html>
///
/// ```
/// use spot_handoff::notice::InstanceId;
/// assert!("i-1234567890abcdef0".parse::<InstanceId>().is_ok());
/// assert!("vol-1234567890abcdef0".parse::<InstanceId>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct InstanceId(String);

impl InstanceId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for InstanceId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let is_id = text.strip_prefix("i-").is_some_and(|digits| {
            matches!(digits.len(), 8 | 17) && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        });
        if is_id {
            Ok(Self(text))
        } else {
            let shown: String = text.chars().take(40).collect();
            Err(format!(
                "expected `i-` and 8 or 17 hexadecimal digits, found `{shown}`"
            ))
        }
    }
}

impl std::str::FromStr for InstanceId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.to_owned().try_into()
    }
}

impl From<InstanceId> for String {
    fn from(id: InstanceId) -> Self {
        id.0
    }
}
