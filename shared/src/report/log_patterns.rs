//! Filter patterns for CloudWatch Logs, over the JSON fields of the functions' lines.

/// A filter pattern: which lines to look for.
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html>
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// Lines in which all these fields have their values.
    pub fn all(fields: &[(&str, &str)]) -> Self {
        Self::joined(fields, " && ")
    }

    /// Lines in which at least one of these fields has its value.
    pub fn any(fields: &[(&str, &str)]) -> Self {
        Self::joined(fields, " || ")
    }

    /// Lines with at least one of these phrases.
    pub fn phrases(phrases: &[&str]) -> Self {
        let phrases: Vec<_> = phrases.iter().map(|phrase| format!("?\"{phrase}\"")).collect();
        Self(phrases.join(" "))
    }

    /// The pattern as FilterLogEvents takes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn joined(fields: &[(&str, &str)], operator: &str) -> Self {
        let selector = |(field, value): &(&str, &str)| {
            // A quote would end the value, and a star matches anything.
            let value = value.replace(['"', '*', '\\'], "");
            format!("$.{field} = \"{value}\"")
        };
        match fields {
            [one] => Self(format!("{{ {} }}", selector(one))),
            several => {
                let selectors: Vec<_> = several.iter().map(|one| format!("({})", selector(one))).collect();
                Self(format!("{{ {} }}", selectors.join(operator)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_written_as_cloudwatch_reads_them() {
        assert_eq!(Pattern::all(&[("a", "1")]).0, r#"{ $.a = "1" }"#);
        assert_eq!(
            Pattern::all(&[("a", "1"), ("b", "2")]).0,
            r#"{ ($.a = "1") && ($.b = "2") }"#
        );
        assert_eq!(
            Pattern::any(&[("a", "1"), ("b", "\"*")]).0,
            r#"{ ($.a = "1") || ($.b = "") }"#
        );
        assert_eq!(Pattern::phrases(&["a b", "c"]).0, r#"?"a b" ?"c""#);
    }
}
