//! The control interface under `/_embedded`: the parts of the embedded AWS's interface that are needed here.

use axum::Json;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::limits::Throttle;
use super::record::CallRecord;
use super::server::Shared;
use super::{events, state};
use testbed::Call;
use testbed::locked;

pub(crate) fn answer(shared: &Shared, method: &Method, route: &str, body: &[u8]) -> Response {
    match carry_out(shared, method, route, body) {
        Ok(found) => Json(found).into_response(),
        Err(error) => (
            StatusCode::BAD_REQUEST,
            Json(json!({ "error": error.to_string() })),
        )
            .into_response(),
    }
}

fn carry_out(shared: &Shared, method: &Method, route: &str, body: &[u8]) -> anyhow::Result<Value> {
    let mut account = locked(&shared.account);
    match (method.as_str(), route) {
        ("GET", "stack") => return Ok(serde_json::to_value(&account.stack)?),
        ("GET", "state") => return Ok(serde_json::to_value(state::snapshot(&account))?),
        ("GET", "calls") => {
            let calls = account
                .record
                .calls
                .iter()
                .zip(1..)
                .map(|(record, n)| call(record, n));
            return Ok(serde_json::to_value(calls.collect::<Vec<_>>())?);
        }
        ("DELETE", "calls") => account.record.calls.clear(),
        ("POST", "events") => {
            let matched = events::put(&mut account, &serde_json::from_slice(body)?);
            drop(account);
            shared.sent.notify_waiters();
            return Ok(json!({ "matched": matched }));
        }
        ("POST", "faults") => account.faults.order(body)?,
        ("DELETE", "faults") => account.faults.clear(),
        ("POST", "limits") => account.throttle = Throttle::new(&serde_json::from_slice(body)?),
        ("POST", "settings") => account.settings = serde_json::from_slice(body)?,
        _ => anyhow::bail!("the fast AWS has no {method} {route}"),
    }
    Ok(json!({}))
}

fn call(record: &CallRecord, n: u64) -> Call {
    Call {
        n,
        at_ms: record.at.as_millisecond() as f64,
        caller: Some(record.caller.clone()),
        service: record.service.clone(),
        action: record.action.clone(),
        status: record.status,
        error: record.error.clone(),
        ms: record.ended.duration_since(record.began).as_secs_f64() * 1000.0,
    }
}
