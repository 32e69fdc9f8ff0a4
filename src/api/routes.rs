//! The route table: every URL of the API and the pages, who may call it, and its handler. WebSocket and Socket.IO
//! endpoints are not in it; the router passes those requests to `realtime`.

use std::sync::LazyLock;

use hyper::Method;
use percent_encoding::percent_decode_str;

use super::route::{Access, Route, RouteFlag};
use super::{
    areas, audit, board, broadcast, client_position, client_view, clients, commands, entities,
    events, health, help, incidents, lockers, messages, openapi, pages, pairing, services, stats,
    system, tokens, users, web,
};
use crate::http::ApiError;
use crate::realtime;

macro_rules! routes {
    ($($method:ident $path:literal $access:ident $handler:path $([$flag:ident])?),* $(,)?) => {
        &[$(Route {
            path: $path,
            method: Method::$method,
            access: Access::$access,
            handler: |app, request| Box::pin($handler(app, request)),
            flags: &[$(RouteFlag::$flag)?],
        }),*]
    };
}

static ROUTES: &[Route] = routes![
    GET    "/"                                    Page              web::home,
    GET    "/pair"                                Page              web::tablet,
    GET    "/admin"                               Page              web::redirect_to_admin,
    GET    "/admin/"                              Page              web::admin,
    GET    "/assets/{version}/{*path}"            Public            web::asset,
    GET    "/wallcast.js"                         Public            web::client_module,
    GET    "/sw.js"                               Public            web::service_worker,
    GET    "/manifest.webmanifest"                Public            web::manifest,
    GET    "/ca.crt"                              Public            pages::authority,
    GET    "/health"                              Public            health::get,
    GET    "/metrics"                             Admin             stats::metrics,
    GET    "/api/openapi.json"                    Public            openapi::get,
    GET    "/api/me"                              AnyToken          tokens::me,
    GET    "/api/house"                           Admin             system::server_info,
    GET    "/api/audit"                           Admin             audit::list,
    GET    "/api/events"                          AdminClientOrUser events::list,
    GET    "/api/areas"                           AdminOrClient     areas::list,
    POST   "/api/areas"                           Admin             areas::create,
    GET    "/api/areas/{id}"                      AdminOrClient     areas::get,
    PUT    "/api/areas/{id}"                      Admin             areas::change,
    PATCH  "/api/areas/{id}"                      Admin             areas::change,
    DELETE "/api/areas/{id}"                      Admin             areas::delete,
    PATCH  "/api/areas/{id}/toggle"               Admin             areas::toggle,
    GET    "/api/clients"                         Admin             clients::list,
    GET    "/api/clients/{id}"                    AdminOrClient     clients::get,
    PUT    "/api/clients/{id}"                    Admin             clients::change,
    PATCH  "/api/clients/{id}"                    Admin             clients::change,
    DELETE "/api/clients/{id}"                    Admin             clients::delete,
    GET    "/api/clients/{id}/view"               Admin             client_view::get,
    GET    "/api/clients/{id}/position"           AdminOrClient     client_position::get,
    PUT    "/api/clients/{id}/areas"              Admin             clients::set_areas,
    POST   "/api/clients/{id}/areas/{area_id}"    Admin             clients::add_area,
    DELETE "/api/clients/{id}/areas/{area_id}"    Admin             clients::remove_area,
    POST   "/api/clients/{id}/revoke"             Admin             clients::revoke,
    POST   "/api/clients/{id}/disconnect"         Admin             clients::disconnect,
    GET    "/api/lockers"                         AdminOrClient     lockers::list,
    POST   "/api/lockers"                         Admin             lockers::create,
    GET    "/api/lockers/{id}"                    AdminOrClient     lockers::get,
    PATCH  "/api/lockers/{id}"                    Admin             lockers::change,
    DELETE "/api/lockers/{id}"                    Admin             lockers::delete,
    GET    "/api/help"                            AdminOrClient     help::list,
    POST   "/api/help"                            AdminOrClient     help::create,
    GET    "/api/help/{id}"                       AdminOrClient     help::get,
    PATCH  "/api/help/{id}"                       AdminOrClient     help::change,
    GET    "/api/commands"                        AdminOrClient     commands::list,
    POST   "/api/commands"                        Admin             commands::create,
    GET    "/api/commands/{id}"                   AdminOrClient     commands::get,
    GET    "/api/entities"                        AdminOrClient     entities::list,
    POST   "/api/entities/{id}/call"              AdminOrClient     entities::call,
    GET    "/api/positions"                       Admin             client_position::list,
    GET    "/api/services"                        AdminClientOrUser services::list,
    POST   "/api/services"                        Admin             services::create,
    GET    "/api/services/{id}"                   AdminClientOrUser services::get,
    PUT    "/api/services/{id}"                   Admin             services::change,
    PATCH  "/api/services/{id}"                   Admin             services::change,
    DELETE "/api/services/{id}"                   Admin             services::delete,
    GET    "/api/incidents"                       AdminClientOrUser incidents::list,
    POST   "/api/incidents"                       Admin             incidents::create,
    GET    "/api/incidents/{id}"                  AdminClientOrUser incidents::get,
    PUT    "/api/incidents/{id}"                  Admin             incidents::change,
    PATCH  "/api/incidents/{id}"                  Admin             incidents::change,
    DELETE "/api/incidents/{id}"                  Admin             incidents::delete,
    POST   "/api/incidents/{id}/updates"          Admin             incidents::add_update,
    GET    "/api/status"                          AdminClientOrUser board::status,
    GET    "/api/messages"                        AdminClientOrUser messages::list,
    POST   "/api/messages"                        AdminClientOrUser messages::send,
    GET    "/api/messages/unread"                 AdminClientOrUser messages::unread,
    PATCH  "/api/messages/{id}"                   AdminClientOrUser messages::change,
    GET    "/api/conversations"                   AdminClientOrUser messages::conversations,
    GET    "/api/conversations/{id}/messages"     AdminClientOrUser messages::conversation_messages,
    GET    "/api/users/{id}"                      AdminClientOrUser users::get,
    POST   "/api/users/{id}/disconnect"           Admin             users::disconnect,
    POST   "/api/send"                            AnyToken          realtime::send [Secret],
    GET    "/api/v1/websocket/stats"              Admin             stats::stats,
    POST   "/api/v1/websocket/broadcast"          Admin             broadcast::broadcast,
    GET    "/api/websocket/info"                  Admin             stats::info,
    GET    "/api/websocket/status"                Admin             stats::status,
    POST   "/api/websocket/broadcast"             Admin             broadcast::broadcast,
    GET    "/api/tokens"                          Admin             tokens::list,
    POST   "/api/tokens"                          Admin             tokens::create [Secret],
    POST   "/api/tokens/refresh"                  AnyToken          tokens::refresh [Secret],
    DELETE "/api/tokens/{jti}"                    Admin             tokens::revoke,
    POST   "/api/auth/session"                    AnyToken          tokens::open_session [Secret],
    DELETE "/api/auth/session"                    AnyToken          tokens::close_session [Secret],
    GET    "/api/pairing/requests"                Admin             pairing::list,
    POST   "/api/pairing/requests"                AdminOnIngress    pairing::request,
    GET    "/api/pairing/requests/{id}"           AnyToken          pairing::poll,
    POST   "/api/pairing/requests/{id}/approve"   Admin             pairing::approve,
    POST   "/api/pairing/requests/{id}/deny"      Admin             pairing::deny,
    POST   "/api/pairing/codes"                   Admin             pairing::create_code [Secret],
    POST   "/api/pairing/complete"                AdminOnIngress    pairing::complete,
];

/// The routes of each path.
static BY_PATH: LazyLock<matchit::Router<Vec<&'static Route>>> = LazyLock::new(|| {
    let mut paths: Vec<&str> = ROUTES.iter().map(|route| route.path).collect();
    paths.dedup();
    let mut by_path = matchit::Router::new();
    for path in paths {
        let routes = ROUTES.iter().filter(|route| route.path == path).collect();
        if let Err(error) = by_path.insert(path, routes) {
            tracing::error!(path, %error, "cannot register route");
        }
    }
    by_path
});

/// All routes.
pub(super) fn routes() -> impl Iterator<Item = &'static Route> {
    ROUTES.iter()
}

/// The method and path of every route that supports `Idempotency-Key`.
pub fn keyed_routes() -> impl Iterator<Item = (&'static str, &'static str)> {
    let keyed = ROUTES
        .iter()
        .filter(|route| route.supports_idempotency_key());
    keyed.map(|route| (route.method.as_str(), route.path))
}

/// The pattern of the route that matches a path, for logs. A path itself is not logged, because its parameters may
/// be secrets, such as pairing codes.
pub(super) fn pattern(path: &str) -> &'static str {
    match BY_PATH.at(path) {
        Ok(found) => found.value.first().map_or("", |route| route.path),
        Err(_) => "unknown path",
    }
}

/// The names and decoded values of a path's parameters.
pub(super) type Parameters = Vec<(String, String)>;

/// Finds the route of a method and path.
///
/// # Errors
/// 404 for an unknown path or a parameter that is not UTF-8, 405 for a method that the path does not support.
pub(super) fn find(method: &Method, path: &str) -> Result<(&'static Route, Parameters), ApiError> {
    let found = BY_PATH.at(path).map_err(|_| ApiError::not_found("path"))?;
    // HEAD is GET without the body, which hyper leaves out by itself (RFC 9110 section 9.3.2).
    let lookup = if method == Method::HEAD {
        &Method::GET
    } else {
        method
    };
    let Some(route) = found.value.iter().find(|route| route.method == *lookup) else {
        let methods: Vec<&str> = found
            .value
            .iter()
            .map(|route| route.method.as_str())
            .collect();
        return Err(ApiError::method_not_allowed(&methods.join(", ")));
    };
    let decode = |text: &str| {
        percent_decode_str(text)
            .decode_utf8()
            .map(|text| text.into_owned())
    };
    let parameters = found
        .params
        .iter()
        .map(|(name, value)| Ok((name.to_owned(), decode(value)?)))
        .collect::<Result<_, std::str::Utf8Error>>()
        .map_err(|_| ApiError::not_found("path"))?;
    Ok((route, parameters))
}

#[cfg(test)]
mod tests {
    use hyper::StatusCode;

    use super::*;

    #[test]
    fn every_route_is_reachable() {
        for route in ROUTES {
            let path = route
                .path
                .replace("{id}", "x")
                .replace("{area_id}", "y")
                .replace("{jti}", "z")
                .replace("{version}", "v")
                .replace("{*path}", "a/b.js");
            let (found, _) = find(&route.method, &path).unwrap();
            assert_eq!((found.path, &found.method), (route.path, &route.method));
        }
    }

    #[test]
    fn only_secret_and_public_writes_reject_idempotency_keys() {
        let without: Vec<_> = ROUTES
            .iter()
            .filter(|route| route.method != Method::GET && !route.supports_idempotency_key())
            .map(|route| format!("{} {}", route.method, route.path))
            .collect();
        assert_eq!(
            without,
            [
                "POST /api/send",
                "POST /api/tokens",
                "POST /api/tokens/refresh",
                "POST /api/auth/session",
                "DELETE /api/auth/session",
                "POST /api/pairing/requests",
                "POST /api/pairing/codes",
                "POST /api/pairing/complete",
            ]
        );
    }

    #[test]
    fn unknown_path_gets_404_and_unknown_method_405() {
        let status =
            |method: &Method, path: &str| find(method, path).map(|_| ()).unwrap_err().status();
        assert_eq!(status(&Method::GET, "/nowhere"), StatusCode::NOT_FOUND);
        assert_eq!(
            status(&Method::PUT, "/api/areas"),
            StatusCode::METHOD_NOT_ALLOWED
        );
        assert!(find(&Method::HEAD, "/health").is_ok());
    }

    #[test]
    fn path_parameters_are_percent_decoded() {
        let (_, parameters) = find(&Method::GET, "/api/areas/k%C3%BCche").unwrap();
        assert_eq!(parameters, [("id".to_owned(), "küche".to_owned())]);
        assert!(find(&Method::GET, "/api/areas/%FF").is_err());
    }
}
