//! An AWS that answers by a script, for unit tests of effects. They check which request is sent, and what happens
//! with the answer.
//!
//! Functions make their clients as in Lambda, and repeat calls as there. This only answers what would go over the
//! network. `aws-smithy-mocks` does the same by rules. We do not use it, since it needs `test-util` of
//! `aws-smithy-http-client`. With that, `serde_json` keeps the order of members in every test, unlike in Lambda, and
//! twenty more crates come in.

// A test that cannot be set up has to fail.
#![allow(clippy::expect_used)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use aws_types::SdkConfig;
use jiff::Timestamp;
use serde_json::{Value, json};
use spot_handoff::runtime::aws;
use spot_handoff::runtime::clock::Clock;
use spot_handoff::runtime::config::Env;
use spot_handoff::runtime::invocation::Invocation;

use crate::locked;

/// What is answered to one call of an action.
#[derive(Debug, Clone)]
pub struct Answer {
    action: &'static str,
    status: u16,
    body: String,
}

/// A call: the action, and what was asked.
pub type Asked = (String, Value);

/// An AWS with answers, each to be given once.
#[derive(Debug, Clone, Default)]
pub struct Script {
    answers: Arc<Mutex<Vec<Answer>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

/// What Auto Scaling and Elastic Load Balancing answer: this XML is the result.
pub fn xml(action: &'static str, result: &str) -> Answer {
    let body = format!("<{action}Response><{action}Result>{result}</{action}Result></{action}Response>");
    Answer {
        action,
        status: 200,
        body,
    }
}

/// What ECS, SQS and EventBridge answer.
pub fn json(action: &'static str, result: &Value) -> Answer {
    Answer {
        action,
        status: 200,
        body: result.to_string(),
    }
}

/// An error as Auto Scaling and Elastic Load Balancing answer it.
pub fn xml_error(action: &'static str, status: u16, code: &str, message: &str) -> Answer {
    let body = format!(
        "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>\
         <RequestId>1</RequestId></ErrorResponse>"
    );
    Answer { action, status, body }
}

/// An error as ECS, SQS and EventBridge answer it.
pub fn json_error(action: &'static str, status: u16, code: &str, message: &str) -> Answer {
    let body = json!({ "__type": code, "message": message }).to_string();
    Answer { action, status, body }
}

/// The environment of a function in Lambda.
pub fn env() -> Env {
    Env::of(&[
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "key"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("TABLE", "table"),
    ])
}

/// An invocation with time left. In it, a second passes in a millisecond.
pub fn invocation(function: &'static str) -> Invocation {
    Invocation::new(function, fast(), false, Duration::from_secs(15))
}

fn fast() -> Clock {
    Clock::fast(Timestamp::now(), 1000.0)
}

impl Script {
    /// An AWS that gives these answers, in order, to the calls of each action. It refuses a call for which there is
    /// no answer left.
    pub fn of(answers: impl IntoIterator<Item = Answer>) -> Self {
        Self {
            answers: Arc::new(Mutex::new(answers.into_iter().collect())),
            ..Self::default()
        }
    }

    /// The configuration of a function in Lambda whose AWS this is.
    pub fn sdk(&self) -> SdkConfig {
        let sdk = aws::sdk_config(&env(), fast()).expect("a complete environment");
        let connector = SharedHttpConnector::new(self.clone());
        let client = http_client_fn(move |_, _| connector.clone());
        sdk.into_builder().http_client(client).build()
    }

    /// The calls so far.
    pub fn asked(&self) -> Vec<Asked> {
        locked(&self.asked).clone()
    }

    /// The actions of the calls so far.
    pub fn actions(&self) -> Vec<String> {
        let asked = self.asked().into_iter();
        asked.map(|(action, _)| action).collect()
    }

    fn answer(&self, request: &HttpRequest) -> HttpResponse {
        let (action, what) = read(request);
        let mut answers = locked(&self.answers);
        let next = answers.iter().position(|answer| answer.action == action);
        let answer = match next {
            Some(next) => answers.remove(next),
            None => json_error("", 400, "NotInTheScript", &action),
        };
        locked(&self.asked).push((action, what));
        let status = answer.status.try_into().expect("a status");
        HttpResponse::new(status, SdkBody::from(answer.body))
    }
}

impl HttpConnector for Script {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::ready(Ok(self.answer(&request)))
    }
}

/// The action and the members of a request. JSON requests name the action in a header, forms in a field.
fn read(request: &HttpRequest) -> Asked {
    let body = request.body().bytes().unwrap_or_default();
    if let Some(target) = request.headers().get("x-amz-target") {
        let action = target.rsplit('.').next().unwrap_or_default().to_owned();
        return (action, serde_json::from_slice(body).unwrap_or_default());
    }
    let mut fields: serde_json::Map<String, Value> = form_urlencoded::parse(body)
        .map(|(name, value)| (name.into_owned(), value.into_owned().into()))
        .collect();
    fields.remove("Version");
    let action = fields.remove("Action").unwrap_or_default();
    (action.as_str().unwrap_or_default().to_owned(), fields.into())
}
