//! Checks every HTTP response that a test receives against `GET /api/openapi.json`.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use hyper::HeaderMap;
use jsonschema::Validator;
use serde_json::{Value, json};

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| wallcast::api::openapi::document().unwrap());

/// Matches a request path to its path template in the document.
static PATHS: LazyLock<matchit::Router<String>> = LazyLock::new(|| {
    let mut paths = matchit::Router::new();
    for path in DOCUMENT["paths"].as_object().unwrap().keys() {
        paths.insert(path, path.clone()).unwrap();
    }
    paths
});

/// Compiled schemas by their JSON text: compiling one takes longer than a request.
static VALIDATORS: LazyLock<Mutex<HashMap<String, &'static Validator>>> =
    LazyLock::new(Mutex::default);

/// Asserts that the document describes this response: status, content type, required headers and body
/// schema. Ignores operations that the document does not have, such as web pages.
#[track_caller]
pub fn check(method: &str, path: &str, status: u16, headers: &HeaderMap, json: &Value) {
    let path = path.split('?').next().unwrap_or_default();
    let Ok(found) = PATHS.at(path) else { return };
    let operation = &DOCUMENT["paths"][found.value][method.to_ascii_lowercase()];
    if operation.is_null() {
        return;
    }
    let what = format!("{method} {} {status}", found.value);
    let response = resolved(&operation["responses"][status.to_string()]);
    assert!(!response.is_null(), "{what} is not in the document: {json}");
    for (name, header) in response["headers"].as_object().into_iter().flatten() {
        let is_needed = resolved(header)["required"] == true;
        assert!(
            !is_needed || headers.contains_key(name),
            "{what} lacks the required header {name}"
        );
    }
    let content_type = headers
        .get("content-type")
        .map(|value| value.to_str().unwrap());
    let Some(documented) = response["content"].as_object() else {
        assert_eq!(content_type, None, "{what} is documented without a body");
        return;
    };
    let content_type = content_type.unwrap_or_default();
    let essence = |value: &str| value.split(';').next().unwrap_or_default().to_owned();
    let is_documented = documented
        .keys()
        .any(|key| essence(key) == essence(content_type));
    assert!(
        is_documented,
        "{what} is documented as {documented:?} and was {content_type}"
    );
    if essence(content_type) == "application/json" {
        let validator = validator(&documented["application/json"]["schema"]);
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
        let with_components = json!({ "allOf": [schema], "components": DOCUMENT["components"] });
        Box::leak(Box::new(
            jsonschema::draft202012::new(&with_components).unwrap(),
        ))
    })
}
