//! One operation of the OpenAPI document, from its description in a JSON file and its route.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::api::route::{Access, Route};

/// The description of an operation in a JSON file.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[derive(Default)]
pub(super) struct Operation {
    summary: String,
    description: String,
    /// Query and header parameters, by their component names. Those of the path and of lists are added.
    query: Vec<String>,
    /// The schema of the request body. The body is required if one of its fields is.
    pub(super) body: Option<String>,
    /// For lists: the key of the array in a page, and the schema of its items.
    list: BTreeMap<String, String>,
    /// The schema of each successful response by status. Null for one without a body.
    responses: BTreeMap<String, Option<String>>,
    /// The content type of each response that is not JSON, by status.
    content_types: BTreeMap<String, String>,
    /// Headers of the successful responses, by their component names.
    headers: Vec<String>,
    /// Error responses that do not follow from the route, or that have a specific meaning here.
    errors: BTreeMap<String, String>,
    protocol: Protocol,
}

/// The protocol that the operation opens.
#[derive(Clone, Copy, Default, Deserialize, PartialEq, Eq)]
enum Protocol {
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

/// The component name of each common error response (`docs/protocol.md#errors`).
const ERRORS: &[(&str, &str)] = &[
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

/// Adds body and headers to the error responses among the components.
pub(super) fn complete_responses(responses: &mut Value) {
    let responses = responses.as_object_mut().into_iter().flatten();
    for (name, response) in responses {
        response["content"] = json_content("Error");
        if matches!(name.as_str(), "TooMany" | "Unavailable") {
            response["headers"] = json!({ "Retry-After": component("headers", "RetryAfter") });
        }
    }
}

/// Allows `null` for each optional field, as the server does.
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
        let is_nullable = property["anyOf"][1]["type"] == "null";
        if !is_required(name) && !is_nullable {
            *property = json!({ "anyOf": [property, { "type": "null" }] });
        }
    }
}

impl Operation {
    /// Converts the operation to its OpenAPI form.
    pub(super) fn to_json(
        &self,
        method: &str,
        path: &str,
        route: Option<&Route>,
        schemas: &Value,
    ) -> Value {
        let parameters = self.parameters(path, route);
        let access = route.map_or(Access::AdminOnIngress, |route| route.access);
        let mut operation = json!({
            "operationId": operation_id(method, path),
            "summary": self.summary,
            "description": format!("{} {}", access_description(access), self.description).trim(),
            "responses": self.responses(path, route),
        });
        if !parameters.is_empty() {
            operation["parameters"] = parameters.into();
        }
        if let Some(body) = &self.body {
            operation["requestBody"] = json!({
                "required": schemas[body]["required"].is_array(),
                "content": json_content(body),
            });
        } else if self.protocol == Protocol::EngineIo && method == "POST" {
            let content = json!({ "text/plain": { "schema": { "type": "string" } } });
            operation["requestBody"] = json!({ "required": true, "content": content });
        }
        operation["security"] = match (route, access) {
            (None, _) => json!([{}, { "bearer": [] }, { "cookie": [] }]),
            (_, access) if !access.needs_token() => json!([]),
            _ => json!([{ "bearer": [] }, { "cookie": [] }]),
        };
        operation
    }

    fn parameters(&self, path: &str, route: Option<&Route>) -> Vec<Value> {
        let in_path = path_parameters(path).map(|name| {
            let schema = component("schemas", "Id");
            json!({ "name": name, "in": "path", "required": true, "schema": schema })
        });
        let mut parameters: Vec<_> = in_path.collect();
        let mut add = |name: &str| parameters.push(component("parameters", name));
        self.query.iter().for_each(|name| add(name));
        if !self.list.is_empty() {
            ["limit", "cursor"].into_iter().for_each(&mut add);
        }
        if self.is_socket() {
            ["since", "epoch", "sessionId"]
                .into_iter()
                .for_each(&mut add);
        }
        if route.is_some_and(Route::supports_idempotency_key) {
            add("IdempotencyKey");
        }
        parameters
    }

    fn responses(&self, path: &str, route: Option<&Route>) -> Map<String, Value> {
        let mut responses = Map::new();
        for status in self.common_errors(path, route) {
            let name = ERRORS.iter().find(|(known, _)| *known == status);
            if let Some((_, name)) = name {
                responses.insert(status.to_owned(), component("responses", name));
            }
        }
        for (status, text) in &self.errors {
            let mut error = json!({ "description": text, "content": json_content("Error") });
            if status == "429" {
                error["headers"] = json!({ "Retry-After": component("headers", "RetryAfter") });
            }
            responses.insert(status.clone(), error);
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
            let page = json!({ "description": "One page of the list.", "content": content });
            responses.insert("200".to_owned(), page);
        }
        for (status, schema) in &self.responses {
            let mut response = json!({ "description": status_description(status) });
            if let Some(schema) = schema {
                response["content"] = json_content(schema);
            }
            for header in &self.headers {
                let name = header.replace("SetCookie", "Set-Cookie");
                response["headers"][name] = component("headers", header);
            }
            responses.insert(status.clone(), response);
        }
        for (status, content_type) in &self.content_types {
            let content = json!({ content_type: { "schema": { "type": "string" } } });
            let response = json!({ "description": status_description(status), "content": content });
            responses.insert(status.clone(), response);
        }
        self.add_protocol_responses(&mut responses);
        responses
    }

    /// The statuses of the errors that follow from path, access and parameters.
    fn common_errors(&self, path: &str, route: Option<&Route>) -> Vec<&'static str> {
        // 401 for a token in the URL, 403 for peers other than the Supervisor's proxy on ingress.
        let mut errors = vec!["401", "403"];
        let Some(route) = route else {
            errors.extend(["422", "429", "503"]);
            return errors;
        };
        if route.access != Access::Public {
            errors.push("503");
        }
        if path.contains('{') {
            errors.push("404");
        }
        if route.method != hyper::Method::GET {
            errors.extend(["408", "413"]);
        }
        if self.body.is_some() {
            errors.extend(["400", "415", "422"]);
        }
        if route.supports_idempotency_key() {
            errors.extend(["409", "422"]);
        }
        if !self.query.is_empty() || !self.list.is_empty() {
            errors.push("422");
        }
        errors
    }

    fn is_socket(&self) -> bool {
        matches!(self.protocol, Protocol::WebSocket | Protocol::EngineIo)
    }

    /// Adds the responses of protocols other than JSON over HTTP.
    fn add_protocol_responses(&self, responses: &mut Map<String, Value>) {
        let upgrade = json!({ "description": "The connection continues as a WebSocket." });
        let text = json!({ "schema": { "type": "string" } });
        match self.protocol {
            Protocol::Http => {}
            Protocol::EventStream => {
                if let Some(response) = responses.get_mut("200") {
                    response["content"]["text/event-stream"] = text;
                }
            }
            Protocol::WebSocket => {
                responses.insert("101".to_owned(), upgrade);
                for (status, name) in [("400", "BadHandshake"), ("426", "UpgradeRequired")] {
                    responses.insert(status.to_owned(), component("responses", name));
                }
            }
            Protocol::EngineIo => {
                responses.insert("101".to_owned(), upgrade);
                let error = json!({ "description": "The request is not Engine.IO 4, or there is no connection with this `sid`.",
                    "content": json_content("EngineError") });
                for status in ["400", "404", "413"] {
                    responses.insert(status.to_owned(), error.clone());
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

fn path_parameters(path: &str) -> impl Iterator<Item = &str> {
    path.split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

fn component(section: &str, name: &str) -> Value {
    json!({ "$ref": format!("#/components/{section}/{name}") })
}

fn json_content(schema: &str) -> Value {
    json!({ "application/json": { "schema": component("schemas", schema) } })
}

fn status_description(status: &str) -> &'static str {
    match status {
        "201" => "Created.",
        "204" => "Done.",
        "503" => "The server cannot write to its disk.",
        _ => "Success.",
    }
}

fn access_description(access: Access) -> &'static str {
    match access {
        Access::Public | Access::AdminOnIngress | Access::Page => "Public.",
        Access::AnyToken => {
            "Requires any token, including that of a tablet that waits to be paired."
        }
        Access::AdminClientOrUser => "For admins, paired tablets and users.",
        Access::AdminOrClient => "For admins and paired tablets.",
        Access::Admin => "For admins.",
    }
}
