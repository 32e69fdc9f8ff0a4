//! One operation of the document: what its file says of it, and what follows from its route.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::api::router::{Access, Route};

/// What a file says of an operation.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
pub(super) struct Operation {
    summary: String,
    description: String,
    /// Parameters besides the path's and the list's, by their names among the components.
    query: Vec<String>,
    /// The schema of its body. A body is needed if one of its fields is.
    pub(super) body: Option<String>,
    /// Answers pages: the plural that a page has, and the schema of what it lists.
    list: BTreeMap<String, String>,
    /// The schema of each answer; null for one without a body.
    answers: BTreeMap<String, Option<String>>,
    /// The content type of each answer that is no JSON.
    texts: BTreeMap<String, String>,
    /// Headers of the good answers, by their names among the components.
    headers: Vec<String>,
    /// Refusals that do not follow from the route, or that mean something particular here.
    refusals: BTreeMap<String, String>,
    speaks: Speaks,
}

/// What is spoken besides JSON over HTTP.
#[derive(Clone, Copy, Default, Deserialize, PartialEq, Eq)]
enum Speaks {
    #[default]
    #[serde(rename = "http")]
    Http,
    #[serde(rename = "sse")]
    EventStream,
    #[serde(rename = "websocket")]
    WebSocket,
    #[serde(rename = "engine.io")]
    EngineIo,
}

/// The refusals of contract section 6, as they are called among the components.
const REFUSALS: &[(&str, &str)] = &[
    ("400", "BadRequest"),
    ("401", "Unauthenticated"),
    ("403", "Forbidden"),
    ("404", "NotFound"),
    ("408", "Timeout"),
    ("409", "Conflict"),
    ("413", "TooLarge"),
    ("415", "UnsupportedMediaType"),
    ("422", "Unprocessable"),
    ("429", "TooMany"),
    ("503", "Unavailable"),
];

/// Gives each refusal among the components its body and headers.
pub(super) fn complete_responses(responses: &mut Value) {
    let responses = responses.as_object_mut().into_iter().flatten();
    for (name, response) in responses {
        response["content"] = json_of("Error");
        if matches!(name.as_str(), "TooMany" | "Unavailable") {
            response["headers"] = json!({ "Retry-After": component("headers", "RetryAfter") });
        }
    }
}

/// A field that a body may leave out may be `null` as well.
pub(super) fn allow_null(schema: &mut Value) {
    let required = schema["required"].clone();
    let is_required = |name: &str| {
        let mut names = required.as_array().into_iter().flatten();
        names.any(|required| required == name)
    };
    let Some(properties) = schema["properties"].as_object_mut() else {
        return;
    };
    for (name, property) in properties {
        let is_done = property["anyOf"][1]["type"] == "null";
        if !is_required(name) && !is_done {
            *property = json!({ "anyOf": [property, { "type": "null" }] });
        }
    }
}

impl Operation {
    /// The operation as OpenAPI has it.
    pub(super) fn show(
        &self,
        method: &str,
        path: &str,
        route: Option<&Route>,
        schemas: &Value,
    ) -> Value {
        let parameters = self.parameters(path, route);
        let access = route.map_or(Access::Open, Route::access);
        let mut shown = json!({
            "operationId": operation_id(method, path),
            "summary": self.summary,
            "description": format!("{} {}", audience(access), self.description).trim(),
            "responses": self.responses(path, route),
        });
        if !parameters.is_empty() {
            shown["parameters"] = parameters.into();
        }
        if let Some(body) = &self.body {
            shown["requestBody"] = json!({
                "required": schemas[body]["required"].is_array(),
                "content": json_of(body),
            });
        } else if self.speaks == Speaks::EngineIo && method == "POST" {
            let content = json!({ "text/plain": { "schema": { "type": "string" } } });
            shown["requestBody"] = json!({ "required": true, "content": content });
        }
        shown["security"] = match (route, access) {
            (None, _) => json!([{}, { "bearer": [] }, { "cookie": [] }]),
            (_, Access::Public | Access::Open | Access::Page) => json!([]),
            _ => json!([{ "bearer": [] }, { "cookie": [] }]),
        };
        shown
    }

    fn parameters(&self, path: &str, route: Option<&Route>) -> Vec<Value> {
        let in_path = named_parts(path).map(|name| {
            let schema = component("schemas", "Id");
            json!({ "name": name, "in": "path", "required": true, "schema": schema })
        });
        let mut parameters: Vec<_> = in_path.collect();
        let mut add = |name: &str| parameters.push(component("parameters", name));
        self.query.iter().for_each(|name| add(name));
        if !self.list.is_empty() {
            ["limit", "cursor"].into_iter().for_each(&mut add);
        }
        if self.opens_a_socket() {
            ["since", "epoch", "sessionId"]
                .into_iter()
                .for_each(&mut add);
        }
        if route.is_some_and(Route::takes_key) {
            add("IdempotencyKey");
        }
        parameters
    }

    fn responses(&self, path: &str, route: Option<&Route>) -> Map<String, Value> {
        let mut responses = Map::new();
        for status in self.refused_with(path, route) {
            let name = REFUSALS.iter().find(|(known, _)| *known == status);
            if let Some((_, name)) = name {
                responses.insert(status.to_owned(), component("responses", name));
            }
        }
        for (status, text) in &self.refusals {
            let mut refusal = json!({ "description": text, "content": json_of("Error") });
            if status == "429" {
                refusal["headers"] = json!({ "Retry-After": component("headers", "RetryAfter") });
            }
            responses.insert(status.clone(), refusal);
        }
        for (plural, schema) in &self.list {
            let items = json!({ "type": "array", "items": component("schemas", schema) });
            let page = json!({
                "type": "object",
                "properties": { plural: items, "nextCursor": component("schemas", "NextCursor") },
                "required": [plural, "nextCursor"],
                "additionalProperties": false,
            });
            let content = json!({ "application/json": { "schema": page } });
            let page = json!({ "description": "A page.", "content": content });
            responses.insert("200".to_owned(), page);
        }
        for (status, schema) in &self.answers {
            let mut answer = json!({ "description": described(status) });
            if let Some(schema) = schema {
                answer["content"] = json_of(schema);
            }
            for header in &self.headers {
                let name = header.replace("SetCookie", "Set-Cookie");
                answer["headers"][name] = component("headers", header);
            }
            responses.insert(status.clone(), answer);
        }
        for (status, kind) in &self.texts {
            let content = json!({ kind: { "schema": { "type": "string" } } });
            let answer = json!({ "description": described(status), "content": content });
            responses.insert(status.clone(), answer);
        }
        self.speak(&mut responses);
        responses
    }

    /// The refusals that can come, by what is asked, of whom, and with what.
    fn refused_with(&self, path: &str, route: Option<&Route>) -> Vec<&'static str> {
        // A token in the URL is refused everywhere, and any peer but Supervisor's proxy on ingress.
        let mut refused = vec!["401", "403"];
        let Some(route) = route else {
            refused.extend(["422", "429", "503"]);
            return refused;
        };
        if route.access() != Access::Public {
            refused.push("503");
        }
        if path.contains('{') {
            refused.push("404");
        }
        if route.method() != hyper::Method::GET {
            refused.extend(["408", "413"]);
        }
        if self.body.is_some() {
            refused.extend(["400", "415", "422"]);
        }
        if route.takes_key() {
            refused.extend(["409", "422"]);
        }
        if !self.query.is_empty() || !self.list.is_empty() {
            refused.push("422");
        }
        refused
    }

    fn opens_a_socket(&self) -> bool {
        matches!(self.speaks, Speaks::WebSocket | Speaks::EngineIo)
    }

    /// What is answered in other words than JSON.
    fn speak(&self, responses: &mut Map<String, Value>) {
        let upgrade = json!({ "description": "The connection speaks WebSocket from here on." });
        let text = json!({ "schema": { "type": "string" } });
        match self.speaks {
            Speaks::Http => {}
            Speaks::EventStream => {
                if let Some(answer) = responses.get_mut("200") {
                    answer["content"]["text/event-stream"] = text;
                }
            }
            Speaks::WebSocket => {
                responses.insert("101".to_owned(), upgrade);
                for (status, name) in [("400", "BadHandshake"), ("426", "UpgradeRequired")] {
                    responses.insert(status.to_owned(), component("responses", name));
                }
            }
            Speaks::EngineIo => {
                responses.insert("101".to_owned(), upgrade);
                let refusal = json!({ "description": "Not Engine.IO 4, or no such connection.",
                    "content": json_of("EngineError") });
                for status in ["400", "404", "413"] {
                    responses.insert(status.to_owned(), refusal.clone());
                }
            }
        }
    }
}

fn operation_id(method: &str, path: &str) -> String {
    let words = path.split(|c: char| !c.is_ascii_alphanumeric());
    let words = words.filter(|word| !word.is_empty());
    std::iter::once(method.to_ascii_lowercase().as_str())
        .chain(words)
        .collect::<Vec<_>>()
        .join("_")
}

fn named_parts(path: &str) -> impl Iterator<Item = &str> {
    path.split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

fn component(kind: &str, name: &str) -> Value {
    json!({ "$ref": format!("#/components/{kind}/{name}") })
}

fn json_of(schema: &str) -> Value {
    json!({ "application/json": { "schema": component("schemas", schema) } })
}

fn described(status: &str) -> &'static str {
    match status {
        "201" => "It was made.",
        "204" => "It is done.",
        "503" => "Wallcast cannot write to its disk.",
        _ => "As asked.",
    }
}

fn audience(access: Access) -> &'static str {
    match access {
        Access::Public | Access::Open | Access::Page => "For everyone.",
        Access::Proven => "For whoever proves a token, also a tablet that waits to be paired.",
        Access::Known => "For admins, paired tablets and people.",
        Access::House => "For admins and paired tablets.",
        Access::Admin => "For admins.",
    }
}
