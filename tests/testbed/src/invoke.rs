//! If somebody invokes a function by Lambda's API, the embedded AWS lets it run here.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result};
use axum::Router;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::json;
use tokio::net::TcpListener;

use crate::lambda::Lambda;
use crate::outcome::Outcome;
use crate::runtime_api::PAYLOAD_LIMIT;

type Functions = (Arc<Lambda>, Arc<BTreeMap<String, String>>);

/// Listens for invocations. Answers with the address, and with the future that serves it while it is polled. `names`
/// are the functions by their names in Lambda.
pub(crate) async fn serve(
    lambda: Arc<Lambda>,
    names: BTreeMap<String, String>,
) -> Result<(String, impl Future<Output = ()> + use<>)> {
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .context("cannot listen on a loopback port")?;
    let url = format!("http://{}", listener.local_addr()?);
    let app = Router::new()
        .route("/{name}", post(invoke))
        .layer(DefaultBodyLimit::max(PAYLOAD_LIMIT))
        .with_state((lambda, Arc::new(names)));
    let serving = async move {
        // It serves until it is dropped. There is nobody who could be told of an error.
        let _ = axum::serve(listener, app).await;
    };
    Ok((url, serving))
}

async fn invoke(
    State((lambda, names)): State<Functions>,
    Path(name): Path<String>,
    payload: String,
) -> Response {
    let Some(function) = names.get(&name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let outcome = match lambda.invoke(function, payload).await {
        Ok(outcome) => outcome,
        Err(error) => return (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}")).into_response(),
    };
    let (kind, message) = match &outcome {
        Outcome::Answer(answer) => return answer.clone().into_response(),
        Outcome::Error(error) => error.split_once(": ").unwrap_or(("Unknown", error)),
        Outcome::TimedOut(_) => ("Sandbox.Timedout", "Task timed out"),
        Outcome::Crashed(how) | Outcome::NotStarted(how) => ("Runtime.ExitError", how.as_str()),
    };
    let told = json!({ "errorType": kind, "errorMessage": message });
    ([("X-Amz-Function-Error", "Unhandled")], axum::Json(told)).into_response()
}
