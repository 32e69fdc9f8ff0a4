use std::collections::BTreeSet;

use super::*;
use crate::api::route::Access;

/// Socket endpoints, which are not in the route table.
const SOCKETS: [&str; 6] = [
    "GET /ws",
    "GET /ws/lockers",
    "GET /ws/help",
    "GET /ws/events",
    "GET /socket.io/",
    "POST /socket.io/",
];

fn operations() -> Vec<(String, Value)> {
    let document = document().unwrap();
    let paths = document["paths"].as_object().unwrap();
    let path_operations = |(path, item): (&String, &Value)| {
        let methods = item.as_object().unwrap().clone().into_iter();
        let path = path.clone();
        methods.map(move |(method, operation)| {
            (format!("{} {path}", method.to_uppercase()), operation)
        })
    };
    paths.iter().flat_map(path_operations).collect()
}

/// Pages and their assets are not part of the API.
fn is_described(route: &Route) -> bool {
    let is_asset = route.access == Access::Public && !route.path.starts_with("/api/");
    route.access != Access::Page && !is_asset
}

/// Public routes except `/health` do not access the store, so they never get 503.
fn needs_store(route: &Route) -> bool {
    route.access != Access::Public || route.path == "/health"
}

fn name_of(route: &Route) -> String {
    format!("{} {}", route.method, route.path)
}

#[test]
fn every_route_is_described_and_nothing_else() {
    let described: BTreeSet<String> = operations().into_iter().map(|(name, _)| name).collect();
    let undescribed: Vec<_> = routes()
        .filter(|route| is_described(route) && !described.contains(&name_of(route)))
        .map(name_of)
        .collect();
    assert!(
        undescribed.is_empty(),
        "describe these operations in a file of src/api/openapi: {undescribed:?}"
    );
    let existing: BTreeSet<String> = routes()
        .map(name_of)
        .chain(SOCKETS.map(str::to_owned))
        .collect();
    let unknown: Vec<_> = described.difference(&existing).collect();
    assert!(
        unknown.is_empty(),
        "no route serves these operations: {unknown:?}"
    );
    assert!(
        ["GET /health", "GET /ca.crt"]
            .iter()
            .all(|name| described.contains(*name))
    );
}

#[test]
fn access_and_errors_match_the_route_table() {
    for (name, operation) in operations() {
        let (method, path) = name.split_once(' ').unwrap();
        let Some(route) = route(method, path) else {
            continue;
        };
        let has_response = |status: &str| !operation["responses"][status].is_null();
        let needs_token = route.access.needs_token();
        let security = operation["security"].as_array().unwrap();
        assert_eq!(!security.is_empty(), needs_token, "{name}");
        assert!(has_response("401") && has_response("403"), "{name}");
        assert_eq!(has_response("503"), needs_store(route), "{name}");
        let parameters = operation["parameters"].as_array().cloned();
        let parameters = parameters.unwrap_or_default();
        let takes_key = parameters
            .iter()
            .any(|parameter| parameter["$ref"] == "#/components/parameters/IdempotencyKey");
        assert_eq!(takes_key, route.supports_idempotency_key(), "{name}");
        if takes_key {
            assert!(has_response("409") && has_response("422"), "{name}");
        }
        if !operation["requestBody"].is_null() {
            let errors = ["400", "413", "415", "422"];
            assert!(errors.iter().all(|status| has_response(status)), "{name}");
        }
        assert!(has_response("404") || !path.contains('{'), "{name}");
    }
}

#[test]
fn references_resolve_and_components_are_used() {
    fn collect(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(object) => {
                if let Some(to) = object.get("$ref").and_then(Value::as_str) {
                    found.insert(to.to_owned());
                }
                object.values().for_each(|value| collect(value, found));
            }
            Value::Array(values) => values.iter().for_each(|value| collect(value, found)),
            _ => {}
        }
    }
    let document = document().unwrap();
    let mut references = BTreeSet::new();
    collect(&document, &mut references);
    for reference in &references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
    for (kind, named) in document["components"].as_object().unwrap() {
        if kind == "securitySchemes" {
            continue;
        }
        for name in named.as_object().unwrap().keys() {
            let reference = format!("#/components/{kind}/{name}");
            assert!(references.contains(&reference), "{reference} is not used");
        }
    }
}

#[test]
fn document_has_the_version_of_the_program() {
    assert_eq!(
        document().unwrap()["info"]["version"],
        env!("CARGO_PKG_VERSION")
    );
}
