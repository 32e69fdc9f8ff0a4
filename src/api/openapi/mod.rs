//! `GET /api/openapi.json` (contract section 6): what the API takes and answers, as OpenAPI 3.1.
//!
//! The JSON files beside this one say what is particular to each operation. Who may ask, which
//! refusals can come and where `Idempotency-Key` counts follows from the route table, so it is added
//! from there and never written down. Pages and what they load are no part of it.

#![allow(
    clippy::indexing_slicing,
    reason = "all that is indexed is compiled in, and the tests make the document of it"
)]

mod operation;

use std::sync::{Arc, LazyLock};

use hyper::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::api::router::{Route, routes};
use crate::app::App;
use crate::http::{ApiError, Reply, Request};
use operation::Operation;
use wallcast_core::event::to_json;

const BASE: &str = include_str!("base.json");
const SLICES: &[&str] = &[
    include_str!("areas.json"),
    include_str!("clients.json"),
    include_str!("credentials.json"),
    include_str!("board.json"),
    include_str!("kiosks.json"),
    include_str!("entities.json"),
    include_str!("messages.json"),
    include_str!("hub.json"),
    include_str!("sockets.json"),
];

/// What one file tells.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Slice {
    tag: String,
    /// By method and path, as the route table has them.
    operations: Map<String, Value>,
    #[serde(default)]
    parameters: Map<String, Value>,
    #[serde(default)]
    schemas: Map<String, Value>,
}

/// Made once: the route table never changes.
static DOCUMENT: LazyLock<Result<String, serde_json::Error>> =
    LazyLock::new(|| document().map(|document| to_json(&document)));

/// `GET /api/openapi.json`
pub(super) async fn get(_app: Arc<App>, _request: Request) -> Result<Reply, ApiError> {
    match &*DOCUMENT {
        Ok(text) => Ok(Reply::bytes(
            "application/json; charset=utf-8",
            text.as_str(),
        )),
        Err(error) => {
            tracing::error!(%error, "the OpenAPI document could not be made");
            Err(ApiError::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal_error",
                "Something failed inside Wallcast; its log says what",
            ))
        }
    }
}

/// The whole document.
///
/// # Errors
/// A file that is not as [`Slice`] and [`Operation`] have it, which the tests would have found.
pub fn document() -> serde_json::Result<Value> {
    let mut document: Value = serde_json::from_str(BASE)?;
    let mut slices = Vec::new();
    for text in SLICES {
        slices.push(serde_json::from_str::<Slice>(text)?);
    }
    document["info"]["version"] = env!("CARGO_PKG_VERSION").into();
    document["tags"] = slices
        .iter()
        .map(|slice| json!({ "name": slice.tag }))
        .collect();
    let components = &mut document["components"];
    for slice in &mut slices {
        append(&mut components["parameters"], &mut slice.parameters);
        append(&mut components["schemas"], &mut slice.schemas);
    }
    operation::complete_responses(&mut components["responses"]);
    let mut bodies = Vec::new();
    for Slice {
        tag, operations, ..
    } in slices
    {
        for (name, told) in operations {
            let operation = Operation::deserialize(told)?;
            bodies.extend(operation.body.clone());
            let (method, path) = name.split_once(' ').unwrap_or_default();
            let route = route(method, path);
            let schemas = &document["components"]["schemas"];
            let mut shown = operation.show(method, path, route, schemas);
            shown["tags"] = json!([tag]);
            document["paths"][path][method.to_ascii_lowercase()] = shown;
        }
    }
    for body in bodies {
        let schema = &mut document["components"]["schemas"][body];
        operation::allow_null(schema);
    }
    Ok(document)
}

/// The route of an operation; sockets have none.
fn route(method: &str, path: &str) -> Option<&'static Route> {
    routes().find(|route| route.path() == path && route.method().as_str() == method)
}

fn append(to: &mut Value, more: &mut Map<String, Value>) {
    if let Some(object) = to.as_object_mut() {
        object.append(more);
    }
}

#[cfg(test)]
mod tests;
