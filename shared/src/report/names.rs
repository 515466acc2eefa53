//! Short names for long ARNs, so that a line fits a terminal.

use std::collections::HashMap;

use crate::report::Report;

/// How many characters of a generated id are kept: enough to tell the tasks of a fleet apart.
const ID: usize = 8;
/// The lengths of generated ids: a UUID, or 32 digits without dashes in newer ids of ECS.
const GENERATED: [usize; 2] = [32, 36];

/// The names for one report. The report has names for its tasks; their ARNs do not.
pub struct Names<'a> {
    /// By task id.
    tasks: HashMap<&'a str, &'a str>,
}

impl<'a> Names<'a> {
    /// The names of this report.
    pub fn of(report: &'a Report) -> Self {
        let tasks = report.tasks.iter();
        let tasks = tasks.map(|task| (last(&task.task), task.name.as_str()));
        Self {
            tasks: tasks.collect(),
        }
    }

    /// The name a person would use for a resource.
    pub fn resource(&self, resource: &str) -> String {
        match self.tasks.get(last(resource)) {
            Some(name) => format!("{name} {}", short_id(last(resource))),
            None => short(resource),
        }
    }

    /// A sentence in which every ARN and every generated id is shortened.
    pub fn sentence(&self, text: &str) -> String {
        let words = text.split(' ').map(|word| {
            let bare = word.trim_end_matches([',', ';', '.', ':', ')']);
            let bare = bare.trim_start_matches('(');
            if bare.starts_with("arn:") || is_generated(bare) {
                word.replace(bare, &self.resource(bare))
            } else {
                word.to_owned()
            }
        });
        words.collect::<Vec<_>>().join(" ")
    }
}

/// The last part of an ARN, or of a name with slashes: the id.
pub fn last(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}

/// Whether a word is an id that AWS has generated: a UUID, with or without dashes.
pub(crate) fn is_generated(word: &str) -> bool {
    GENERATED.contains(&word.len()) && word.chars().all(|c| c.is_ascii_hexdigit() || c == '-')
}

/// The name a person would use for a resource.
pub fn short(resource: &str) -> String {
    // arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE, and the resource may contain colons.
    let Some(name) = resource
        .strip_prefix("arn:")
        .and_then(|rest| rest.splitn(5, ':').nth(4))
    else {
        let id = if is_generated(resource) {
            short_id(resource)
        } else {
            resource
        };
        return id.to_owned();
    };
    let parts: Vec<&str> = name.split('/').collect();
    match parts.as_slice() {
        ["targetgroup", name, _] => (*name).to_owned(),
        ["container-instance", cluster, id] => format!("{cluster}/{}", short_id(id)),
        ["task", cluster, id] => format!("{cluster}/{}", short_id(id)),
        ["service", cluster, service] => format!("{cluster}/{service}"),
        ["task-definition", definition] | ["cluster", definition] => (*definition).to_owned(),
        [group, name] if group.starts_with("autoScalingGroup:") => (*name).to_owned(),
        [queue] => (*queue).to_owned(),
        _ => name.to_owned(),
    }
}

/// The beginning of a generated id.
pub fn short_id(id: &str) -> &str {
    id.get(..ID).unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arns_become_the_names_people_use() {
        let short = |rest: &str| short(&format!("arn:aws:{rest}"));
        assert_eq!(
            short("elasticloadbalancing:us-east-1:123456789012:targetgroup/classifier/50dc6c49"),
            "classifier"
        );
        assert_eq!(
            short("ecs:us-east-1:123456789012:task/inference/3f2a1b0c9d8e7f60"),
            "inference/3f2a1b0c"
        );
        assert_eq!(
            short("ecs:us-east-1:123456789012:container-instance/inference/aa11bb22cc33"),
            "inference/aa11bb22"
        );
        assert_eq!(short("ecs:us-east-1:123456789012:cluster/web"), "web");
        assert_eq!(
            short("autoscaling:us-east-1:123456789012:autoScalingGroup:5d7d:autoScalingGroupName/web"),
            "web"
        );
        assert_eq!(short("sqs:us-east-1:123456789012:drain-tasks"), "drain-tasks");
        assert_eq!(short("lambda:us-east-1:123456789012:function:x"), "function:x");
    }

    #[test]
    fn what_is_no_arn_stays_as_it_is() {
        assert_eq!(short("i-0123456789abcdef0"), "i-0123456789abcdef0");
        assert_eq!(short("arn:odd"), "arn:odd");
    }

    #[test]
    fn arns_and_ids_inside_a_sentence_are_made_short() {
        let names = Names {
            tasks: HashMap::from([("3f2a1b0c-9d8e-4f60-8a1b-2c3d4e5f6a7b", "batch-score")]),
        };
        assert_eq!(
            names.sentence(
                "arn:aws:elasticloadbalancing:us-east-1:1:targetgroup/web/50dc: its delay is 300 s."
            ),
            "web: its delay is 300 s."
        );
        assert_eq!(
            names.sentence(
                "at 04:00:10: 3f2a1b0c-9d8e-4f60-8a1b-2c3d4e5f6a7b, 00000000-9d8e-4f60-8a1b-2c3d4e5f6a7b"
            ),
            "at 04:00:10: batch-score 3f2a1b0c, 00000000"
        );
    }
}
