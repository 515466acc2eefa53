//! Parameters of the query protocol: `InstanceIds.member.1=i-…&Tags.member.1.Key=…`.

use std::collections::BTreeMap;

use super::error::AwsError;

/// The parameters of one call.
pub(crate) struct Form(BTreeMap<String, String>);

impl Form {
    pub(crate) fn parse(body: &[u8]) -> Self {
        Self(form_urlencoded::parse(body).into_owned().collect())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        self.get(name) == Some("true")
    }

    pub(crate) fn required(&self, name: &str) -> Result<&str, AwsError> {
        let missing = || {
            AwsError::validation(format!(
                "1 validation error detected: Value null at '{name}' failed to satisfy constraint: Member must not be null"
            ))
        };
        self.get(name).ok_or_else(missing)
    }

    /// A list of plain values: `name.member.N`, or `name.N` as EC2 has it.
    pub(crate) fn list(&self, name: &str) -> Vec<&str> {
        let entry = |n: usize| {
            self.get(&format!("{name}.member.{n}"))
                .or_else(|| self.get(&format!("{name}.{n}")))
        };
        (1..).map_while(entry).collect()
    }

    /// A list of structures, each as a form of its own.
    pub(crate) fn structures(&self, name: &str) -> Vec<Self> {
        let entry = |n: usize| {
            let prefix = format!("{name}.member.{n}.");
            let fields: BTreeMap<String, String> = self
                .0
                .iter()
                .filter_map(|(key, value)| Some((key.strip_prefix(&prefix)?.to_owned(), value.clone())))
                .collect();
            (!fields.is_empty()).then_some(Self(fields))
        };
        (1..).map_while(entry).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_structures_are_read_in_their_order() {
        let form = Form::parse(
            b"Ids.member.1=a&Ids.member.2=b&Tags.member.1.Key=k&Tags.member.2.Key=l&InstanceId.1=i",
        );
        assert_eq!(form.list("Ids"), ["a", "b"]);
        assert_eq!(form.list("InstanceId"), ["i"]);
        let keys: Vec<_> = form
            .structures("Tags")
            .iter()
            .map(|tag| tag.get("Key").map(str::to_owned))
            .collect();
        assert_eq!(keys, [Some("k".to_owned()), Some("l".to_owned())]);
    }
}
