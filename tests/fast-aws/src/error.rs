//! Errors of AWS, in the two protocols that are spoken here.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// An error as AWS answers with it.
#[derive(Debug, Clone)]
pub(crate) struct AwsError {
    pub(crate) code: String,
    message: String,
    status: u16,
    /// The item for which a condition did not hold, as DynamoDB tells it.
    item: Option<Value>,
}

/// What an action answers: a body in the protocol of its service.
pub(crate) type Answer = Result<String, AwsError>;

impl AwsError {
    pub(crate) fn new(code: &str, message: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            message: message.into(),
            status: 400,
            item: None,
        }
    }

    /// How Auto Scaling reports nearly everything it does not like.
    pub(crate) fn validation(message: impl Into<String>) -> Self {
        Self::new("ValidationError", message)
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new("InvalidParameterException", message)
    }

    /// What each service says when it is asked too often.
    pub(crate) fn throttled(service: &str) -> Self {
        let code = match service {
            "autoscaling" | "elasticloadbalancing" => "Throttling",
            "ec2" => "RequestLimitExceeded",
            _ => "ThrottlingException",
        };
        Self::new(code, "Rate exceeded")
    }

    pub(crate) fn with_item(self, item: Option<Value>) -> Self {
        Self { item, ..self }
    }

    pub(crate) fn with_status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    /// Whether AWS refused because it was asked too often.
    pub(crate) fn is_throttling(&self) -> bool {
        matches!(
            self.code.as_str(),
            "Throttling" | "ThrottlingException" | "RequestLimitExceeded"
        )
    }

    /// The status of the answer.
    pub(crate) fn status(&self) -> u16 {
        self.status
    }

    pub(crate) fn into_response(self, service: &str) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST);
        if speaks_xml(service) {
            let (code, message) = (escape(&self.code), escape(&self.message));
            // EC2 wraps its errors in its own way.
            let body = if service == "ec2" {
                format!(
                    "<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors><RequestID>0</RequestID></Response>"
                )
            } else {
                format!(
                    "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error><RequestId>0</RequestId></ErrorResponse>"
                )
            };
            return (status, [("content-type", "text/xml")], body).into_response();
        }
        let mut body = json!({ "__type": self.code, "message": self.message });
        if let Some(item) = self.item {
            body["Item"] = item;
        }
        let body = body.to_string();
        let headers = [
            ("content-type", "application/x-amz-json-1.1".to_owned()),
            ("x-amzn-errortype", self.code.clone()),
            ("x-amzn-query-error", format!("{};Sender", self.code)),
        ];
        (status, headers, body).into_response()
    }
}

/// Whether a service answers in XML, as the older ones do.
pub(crate) fn speaks_xml(service: &str) -> bool {
    matches!(service, "autoscaling" | "elasticloadbalancing" | "ec2")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// The wording all services share for a list that is longer than the model allows.
pub(crate) fn too_long(field: &str, limit: usize) -> String {
    format!(
        "1 validation error detected: Value at '{field}' failed to satisfy constraint: Member must have length less than or equal to {limit}"
    )
}
