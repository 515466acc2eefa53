//! Short names for long ARNs, so that a line fits a terminal.

/// How many characters of a generated id are kept: enough to tell a fleet's tasks apart.
const ID: usize = 8;

/// The name a person would use for a resource.
pub fn short(resource: &str) -> String {
    // arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE, and the resource may have colons of its own.
    let Some(name) = resource
        .strip_prefix("arn:")
        .and_then(|rest| rest.splitn(5, ':').nth(4))
    else {
        return resource.to_owned();
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

/// A text with every ARN in it made short.
pub fn shorten(text: &str) -> String {
    let words = text.split(' ').map(|word| {
        let bare = word.trim_end_matches([',', ';', '.', ':', ')']);
        let (arn, after) = word.split_at(bare.len());
        format!("{}{after}", short(arn))
    });
    words.collect::<Vec<_>>().join(" ")
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
    fn arns_inside_a_sentence_are_made_short() {
        assert_eq!(
            shorten(
                "target group arn:aws:elasticloadbalancing:us-east-1:1:targetgroup/web/50dc, delay 300 s."
            ),
            "target group web, delay 300 s."
        );
    }
}
