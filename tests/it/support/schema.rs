//! Holds every answer that a test gets to `GET /api/openapi.json`.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use hyper::HeaderMap;
use jsonschema::Validator;
use serde_json::{Value, json};

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| wallcast::api::openapi::document().unwrap());

/// The paths that name things, as a matcher has them.
static PATHS: LazyLock<matchit::Router<String>> = LazyLock::new(|| {
    let mut paths = matchit::Router::new();
    for path in DOCUMENT["paths"].as_object().unwrap().keys() {
        paths.insert(path, path.clone()).unwrap();
    }
    paths
});

/// Made once for each schema, since making one takes longer than an answer.
static VALIDATORS: LazyLock<Mutex<HashMap<String, &'static Validator>>> =
    LazyLock::new(Mutex::default);

/// Asserts that the document knows this answer: its status, its content type, its headers and the
/// shape of its body. Says nothing of pages, nor of methods and paths that are none of the API's.
#[track_caller]
pub fn check(method: &str, path: &str, status: u16, headers: &HeaderMap, json: &Value) {
    let path = path.split('?').next().unwrap_or_default();
    let Ok(found) = PATHS.at(path) else { return };
    let operation = &DOCUMENT["paths"][found.value][method.to_ascii_lowercase()];
    if operation.is_null() {
        return;
    }
    let what = format!("{method} {} {status}", found.value);
    let answer = resolved(&operation["responses"][status.to_string()]);
    assert!(!answer.is_null(), "{what} is not in the document: {json}");
    for (name, header) in answer["headers"].as_object().into_iter().flatten() {
        let is_needed = resolved(header)["required"] == true;
        assert!(
            !is_needed || headers.contains_key(name),
            "{what} has no {name}"
        );
    }
    let kind = headers
        .get("content-type")
        .map(|kind| kind.to_str().unwrap());
    let Some(told) = answer["content"].as_object() else {
        assert_eq!(kind, None, "{what} is told to have no body");
        return;
    };
    let kind = kind.unwrap_or_default();
    let essence = |kind: &str| kind.split(';').next().unwrap_or_default().to_owned();
    let is_told = told.keys().any(|told| essence(told) == essence(kind));
    assert!(is_told, "{what} is told as {told:?} and was {kind}");
    if essence(kind) == "application/json" {
        let validator = validator(&told["application/json"]["schema"]);
        if let Err(error) = validator.validate(json) {
            panic!("{what} at {}: {error}\n{json}", error.instance_path());
        }
    }
}

fn resolved(value: &'static Value) -> &'static Value {
    match value["$ref"].as_str() {
        Some(reference) => DOCUMENT.pointer(&reference[1..]).unwrap(),
        None => value,
    }
}

fn validator(schema: &Value) -> &'static Validator {
    let mut validators = VALIDATORS.lock().unwrap_or_else(PoisonError::into_inner);
    validators.entry(schema.to_string()).or_insert_with(|| {
        let whole = json!({ "allOf": [schema], "components": DOCUMENT["components"] });
        Box::leak(Box::new(jsonschema::draft202012::new(&whole).unwrap()))
    })
}
