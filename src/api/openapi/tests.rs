use std::collections::BTreeSet;

use super::*;
use crate::api::router::Access;

/// Entry points that are no routes: they open sockets.
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
    let of_path = |(path, item): (&String, &Value)| {
        let methods = item.as_object().unwrap().clone().into_iter();
        let path = path.clone();
        methods.map(move |(method, operation)| {
            (format!("{} {path}", method.to_uppercase()), operation)
        })
    };
    paths.iter().flat_map(of_path).collect()
}

/// Pages and what they load are not of the API.
fn is_described(route: &Route) -> bool {
    let is_asset = route.access() == Access::Public && !route.path().starts_with("/api/");
    route.access() != Access::Page && !is_asset
}

/// What only tells what the process has at hand never waits for the disk.
fn needs_store(route: &Route) -> bool {
    route.access() != Access::Public || route.path() == "/health"
}

fn name_of(route: &Route) -> String {
    format!("{} {}", route.method(), route.path())
}

#[test]
fn every_route_is_told_and_nothing_else() {
    let told: BTreeSet<String> = operations().into_iter().map(|(name, _)| name).collect();
    let untold: Vec<_> = routes()
        .filter(|route| is_described(route) && !told.contains(&name_of(route)))
        .map(name_of)
        .collect();
    assert!(
        untold.is_empty(),
        "write these operations into a file of src/openapi: {untold:?}"
    );
    let real: BTreeSet<String> = routes()
        .map(name_of)
        .chain(SOCKETS.map(str::to_owned))
        .collect();
    let gone: Vec<_> = told.difference(&real).collect();
    assert!(gone.is_empty(), "no route answers these: {gone:?}");
    assert!(
        ["GET /health", "GET /ca.crt"]
            .iter()
            .all(|name| told.contains(*name))
    );
}

#[test]
fn who_may_ask_and_what_is_refused_is_as_the_route_table_has_it() {
    for (name, operation) in operations() {
        let (method, path) = name.split_once(' ').unwrap();
        let Some(route) = route(method, path) else {
            continue;
        };
        let answers = |status: &str| !operation["responses"][status].is_null();
        let needs_token = !matches!(route.access(), Access::Public | Access::Open | Access::Page);
        let security = operation["security"].as_array().unwrap();
        assert_eq!(!security.is_empty(), needs_token, "{name}");
        assert!(answers("401") && answers("403"), "{name}");
        assert_eq!(answers("503"), needs_store(route), "{name}");
        let parameters = operation["parameters"].as_array().cloned();
        let parameters = parameters.unwrap_or_default();
        let takes_key = parameters
            .iter()
            .any(|parameter| parameter["$ref"] == "#/components/parameters/IdempotencyKey");
        assert_eq!(takes_key, route.takes_key(), "{name}");
        if takes_key {
            assert!(answers("409") && answers("422"), "{name}");
        }
        if !operation["requestBody"].is_null() {
            let refused = ["400", "413", "415", "422"];
            assert!(refused.iter().all(|status| answers(status)), "{name}");
        }
        assert!(answers("404") || !path.contains('{'), "{name}");
    }
}

#[test]
fn every_reference_leads_somewhere_and_every_component_is_used() {
    fn gather(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(object) => {
                if let Some(to) = object.get("$ref").and_then(Value::as_str) {
                    found.insert(to.to_owned());
                }
                object.values().for_each(|value| gather(value, found));
            }
            Value::Array(values) => values.iter().for_each(|value| gather(value, found)),
            _ => {}
        }
    }
    let document = document().unwrap();
    let mut references = BTreeSet::new();
    gather(&document, &mut references);
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
fn its_version_is_the_programs() {
    assert_eq!(
        document().unwrap()["info"]["version"],
        env!("CARGO_PKG_VERSION")
    );
}
