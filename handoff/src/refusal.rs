//! Errors of AWS calls, for people.

use std::fmt::Display;

use anyhow::anyhow;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use spot_handoff::runtime::aws::{chain, is_denial};

use crate::usage::UsageError;

/// What to do if AWS does not accept the credentials.
pub const SIGN_IN: &str = "sign in again (`aws sso login` or `aws login`), or choose another profile with --profile; \
                           `aws sts get-caller-identity` must work";

/// Whether AWS does not accept the credentials at all: they are expired, deleted or wrong.
/// <https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html>
pub fn is_of_credentials(code: &str) -> bool {
    matches!(
        code,
        "ExpiredToken"
            | "ExpiredTokenException"
            | "InvalidClientTokenId"
            | "InvalidSignatureException"
            | "SignatureDoesNotMatch"
            | "UnrecognizedClientException"
    )
}

/// `cannot WHAT: why`, and what to do about it: which permission to ask for, or a [`UsageError`] if the credentials are
/// not valid.
pub fn cannot<E>(what: impl Display, permission: &str, error: &SdkError<E, HttpResponse>) -> anyhow::Error
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let refusal = error.as_service_error().map(ProvideErrorMetadata::meta);
    match refusal.and_then(|refusal| Some((refusal.code()?, refusal.message().unwrap_or_default()))) {
        Some((code, _)) if is_denial(code) => anyhow!(
            "cannot {what}: {code}: the credentials lack the permission {permission}; \
             `aws sts get-caller-identity` tells whose they are"
        ),
        Some((code, message)) if is_of_credentials(code) => {
            UsageError::new(format!("cannot {what}: {code}: {message}: {SIGN_IN}")).into()
        }
        Some((code, message)) => anyhow!("cannot {what}: {code}: {message}"),
        None => anyhow!("cannot {what}: {}", chain(error)),
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_sqs::error::ErrorMetadata;
    use aws_sdk_sqs::operation::receive_message::ReceiveMessageError;
    use aws_smithy_runtime_api::client::result::ConnectorError;
    use aws_smithy_runtime_api::http::StatusCode;
    use aws_smithy_types::body::SdkBody;

    use super::*;

    fn said(error: &SdkError<ReceiveMessageError, HttpResponse>) -> String {
        cannot("look into the queue", "sqs:ReceiveMessage", error).to_string()
    }

    fn refused(code: &str) -> String {
        let error = ErrorMetadata::builder().code(code).message("the reason").build();
        let response = HttpResponse::new(StatusCode::try_from(400).unwrap(), SdkBody::empty());
        said(&SdkError::service_error(
            ReceiveMessageError::generic(error),
            response,
        ))
    }

    #[test]
    fn a_refusal_says_what_to_do_and_nothing_prints_internals() {
        assert_eq!(
            refused("AccessDenied"),
            "cannot look into the queue: AccessDenied: the credentials lack the permission sqs:ReceiveMessage; \
             `aws sts get-caller-identity` tells whose they are"
        );
        assert_eq!(
            refused("ExpiredToken"),
            "cannot look into the queue: ExpiredToken: the reason: sign in again (`aws sso login` or `aws login`), or \
             choose another profile with --profile; `aws sts get-caller-identity` must work"
        );
        assert_eq!(
            refused("QueueDoesNotExist"),
            "cannot look into the queue: QueueDoesNotExist: the reason"
        );
        let reset = ConnectorError::io("connection reset".into());
        assert_eq!(
            said(&SdkError::dispatch_failure(reset)),
            "cannot look into the queue: dispatch failure: io error: connection reset"
        );
    }
}
