//! Clients of a world, for whoever changes the fleet in it: the person with the AWS CLI.

use anyhow::Result;
use spot_handoff::runtime::aws::http_client;
use testbed::Testbed;

/// The AWS SDK's clients.
pub struct Clients {
    /// Auto Scaling.
    pub autoscaling: aws_sdk_autoscaling::Client,
    /// ECS.
    pub ecs: aws_sdk_ecs::Client,
    /// Elastic Load Balancing.
    pub elb: aws_sdk_elasticloadbalancingv2::Client,
}

impl Clients {
    /// Clients of this world.
    ///
    /// # Errors
    /// Where the world's environment lacks a variable.
    pub fn of(bed: &Testbed) -> Result<Self> {
        let variables = bed.environment();
        let variable = |name: &str| {
            let found = variables.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| value.clone()).unwrap_or_default()
        };
        let credentials = aws_credential_types::Credentials::new(
            variable("AWS_ACCESS_KEY_ID"),
            variable("AWS_SECRET_ACCESS_KEY"),
            None,
            None,
            "testbed",
        );
        let config = aws_types::SdkConfig::builder()
            .behavior_version(aws_sdk_ecs::config::BehaviorVersion::latest())
            .http_client(http_client())
            .region(aws_sdk_ecs::config::Region::new(variable("AWS_REGION")))
            .credentials_provider(aws_credential_types::provider::SharedCredentialsProvider::new(
                credentials,
            ))
            .endpoint_url(variable("AWS_ENDPOINT_URL"))
            .build();
        Ok(Self {
            autoscaling: aws_sdk_autoscaling::Client::new(&config),
            ecs: aws_sdk_ecs::Client::new(&config),
            elb: aws_sdk_elasticloadbalancingv2::Client::new(&config),
        })
    }
}
