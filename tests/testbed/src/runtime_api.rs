//! The Lambda Runtime API: where a function's process asks for work and hands in its answers.
//!
//! As in Lambda, each execution environment has its own API on its own port. So it is always clear which process is
//! talking.

use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::locked;
use crate::outcome::Outcome;

/// Lambda's limit for a payload in either direction.
pub(crate) const PAYLOAD_LIMIT: usize = 6 * 1024 * 1024;

/// One piece of work for a function.
pub(crate) struct Invocation {
    pub(crate) request_id: String,
    pub(crate) function_arn: String,
    /// Milliseconds since the Unix epoch, in real time like everything Lambda does.
    pub(crate) deadline_ms: i64,
    pub(crate) payload: String,
    /// Where the answer goes.
    pub(crate) answer: oneshot::Sender<Outcome>,
}

/// What the process is up to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It was started and has not asked for work yet.
    Starting,
    /// It said that it cannot start.
    Refused(String),
    /// It waits for work.
    Waiting,
    /// It works.
    Working,
}

/// The API of one environment; it stops when dropped.
pub(crate) struct RuntimeApi {
    /// `host:port`, as `AWS_LAMBDA_RUNTIME_API` wants it.
    pub(crate) address: String,
    /// Work for the process.
    pub(crate) work: mpsc::Sender<Invocation>,
    /// What the process is up to.
    pub(crate) stage: watch::Receiver<Stage>,
    server: JoinHandle<()>,
}

struct Desk {
    work: tokio::sync::Mutex<mpsc::Receiver<Invocation>>,
    in_hand: Mutex<Option<(String, oneshot::Sender<Outcome>)>>,
    stage: watch::Sender<Stage>,
}

impl RuntimeApi {
    pub(crate) async fn serve() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .context("cannot listen on a loopback port")?;
        let address = listener.local_addr()?.to_string();
        let (work, received) = mpsc::channel(1);
        let (stage, stage_seen) = watch::channel(Stage::Starting);
        let desk = Arc::new(Desk {
            work: tokio::sync::Mutex::new(received),
            in_hand: Mutex::default(),
            stage,
        });

        let api = Router::new()
            .route("/invocation/next", get(next))
            .route("/invocation/{request_id}/response", post(response))
            .route("/invocation/{request_id}/error", post(error))
            .route("/init/error", post(init_error))
            .layer(axum::extract::DefaultBodyLimit::max(PAYLOAD_LIMIT))
            .with_state(desk);
        let server = tokio::spawn(async move {
            let app = Router::new().nest("/2018-06-01/runtime", api);
            // It serves until the task is aborted. There is nobody who could be told of an error.
            let _ = axum::serve(listener, app).await;
        });
        Ok(Self {
            address,
            work,
            stage: stage_seen,
            server,
        })
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn next(State(desk): State<Arc<Desk>>) -> Response {
    desk.stage.send_replace(Stage::Waiting);
    let Some(invocation) = desk.work.lock().await.recv().await else {
        return StatusCode::GONE.into_response();
    };
    desk.stage.send_replace(Stage::Working);

    let trace = format!(
        "Root=1-{:08x}-{};Sampled=0",
        invocation.deadline_ms / 1000,
        &uuid::Uuid::new_v4().simple().to_string()[..24]
    );
    let headers = [
        ("lambda-runtime-aws-request-id", invocation.request_id.clone()),
        ("lambda-runtime-deadline-ms", invocation.deadline_ms.to_string()),
        ("lambda-runtime-invoked-function-arn", invocation.function_arn),
        ("lambda-runtime-trace-id", trace),
        ("content-type", "application/json".to_owned()),
    ];
    *locked(&desk.in_hand) = Some((invocation.request_id, invocation.answer));
    (headers, invocation.payload).into_response()
}

async fn response(State(desk): State<Arc<Desk>>, Path(request_id): Path<String>, body: String) -> Response {
    desk.settle(&request_id, Outcome::Answer(body))
}

async fn error(
    State(desk): State<Arc<Desk>>,
    Path(request_id): Path<String>,
    headers: HeaderMap,
    body: String,
) -> Response {
    desk.settle(&request_id, Outcome::Error(describe(&headers, &body)))
}

async fn init_error(State(desk): State<Arc<Desk>>, headers: HeaderMap, body: String) -> Response {
    let refusal = Stage::Refused(describe(&headers, &body));
    desk.stage.send_replace(refusal);
    accepted()
}

impl Desk {
    fn settle(&self, request_id: &str, outcome: Outcome) -> Response {
        let in_hand = locked(&self.in_hand).take_if(|(id, _)| id == request_id);
        match in_hand {
            Some((_, answer)) => {
                // Nobody waits any more when the time was up a moment ago.
                let _ = answer.send(outcome);
                accepted()
            }
            None => (
                StatusCode::BAD_REQUEST,
                Json(json!({
                    "errorType": "InvalidRequestID",
                    "errorMessage": format!("{request_id} is not being worked on"),
                })),
            )
                .into_response(),
        }
    }
}

fn accepted() -> Response {
    (StatusCode::ACCEPTED, Json(json!({"status": "OK"}))).into_response()
}

/// `Type: message`, from whichever of the two places the runtime put them.
fn describe(headers: &HeaderMap, body: &str) -> String {
    let told: Value = serde_json::from_str(body).unwrap_or_default();
    let header = headers.get("lambda-runtime-function-error-type");
    let kind = told["errorType"]
        .as_str()
        .or_else(|| header.and_then(|value| value.to_str().ok()))
        .unwrap_or("Unknown");
    let message = told["errorMessage"].as_str().unwrap_or(body);
    format!("{kind}: {message}")
}
