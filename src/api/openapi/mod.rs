//! `GET /api/openapi.json`: the description of the API as OpenAPI 3.1.
//!
//! The JSON files in this folder describe the operations of each feature. Access, common error responses and support
//! for `Idempotency-Key` are derived from the route table. Pages and their assets are not described.

#![allow(
    clippy::indexing_slicing,
    reason = "the indexed JSON is compiled in, and the tests build the document from it"
)]

mod operation;

use std::sync::{Arc, LazyLock};

use hyper::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use wallcast_core::event::to_json;

use crate::api::route::Route;
use crate::api::routes::routes;
use crate::app::App;
use crate::http::{ApiError, Reply, Request};
use operation::Operation;

const BASE: &str = include_str!("base.json");
/// Every other JSON file of this folder, collected by `build.rs`.
const FEATURES: &[&str] = include!(concat!(env!("OUT_DIR"), "/openapi.rs"));

/// The content of one JSON file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Feature {
    tag: String,
    /// Keyed by method and path, as in the route table.
    operations: Map<String, Value>,
    #[serde(default)]
    parameters: Map<String, Value>,
    #[serde(default)]
    schemas: Map<String, Value>,
}

/// Built once, because the route table never changes.
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
            tracing::error!(%error, "cannot build the OpenAPI document");
            Err(ApiError::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal_error",
                "Internal error; see the log of Wallcast",
            ))
        }
    }
}

/// Builds the document.
///
/// # Errors
/// A JSON file does not have the form of [`Feature`] and [`Operation`]. The tests would fail too.
pub fn document() -> serde_json::Result<Value> {
    let mut document: Value = serde_json::from_str(BASE)?;
    let mut features = Vec::new();
    for text in FEATURES {
        features.push(serde_json::from_str::<Feature>(text)?);
    }
    document["info"]["version"] = env!("CARGO_PKG_VERSION").into();
    document["tags"] = features
        .iter()
        .map(|feature| json!({ "name": feature.tag }))
        .collect();
    let components = &mut document["components"];
    for feature in &mut features {
        append(&mut components["parameters"], &mut feature.parameters);
        append(&mut components["schemas"], &mut feature.schemas);
    }
    operation::complete_responses(&mut components["responses"]);
    let mut bodies = Vec::new();
    for Feature {
        tag, operations, ..
    } in features
    {
        for (name, description) in operations {
            let operation = Operation::deserialize(description)?;
            bodies.extend(operation.body.clone());
            let (method, path) = name.split_once(' ').unwrap_or_default();
            let route = route(method, path);
            let schemas = &document["components"]["schemas"];
            let mut operation = operation.to_json(method, path, route, schemas);
            operation["tags"] = json!([tag]);
            document["paths"][path][method.to_ascii_lowercase()] = operation;
        }
    }
    for body in bodies {
        let schema = &mut document["components"]["schemas"][body];
        operation::allow_null(schema);
    }
    Ok(document)
}

/// The route of an operation. Socket endpoints have none.
fn route(method: &str, path: &str) -> Option<&'static Route> {
    routes().find(|route| route.path == path && route.method.as_str() == method)
}

fn append(target: &mut Value, more: &mut Map<String, Value>) {
    if let Some(object) = target.as_object_mut() {
        object.append(more);
    }
}

#[cfg(test)]
mod tests;
