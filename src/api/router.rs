//! Every URL on one screen, and the way of a request: find the route, prove the caller, read the
//! body, run the handler, add the headers that every answer has.

use std::pin::Pin;
use std::sync::{Arc, LazyLock};

use hyper::header::{HeaderName, HeaderValue, ORIGIN};
use hyper::{Method, StatusCode};
use percent_encoding::percent_decode_str;

use super::{
    areas, audit, board, broadcast, client_position, client_view, clients, commands, entities,
    events, health, help, idempotency, incidents, lockers, messages, openapi, pages, pairing,
    services, stats, system, tokens, users, web,
};
use crate::app::App;
use crate::authentication::AuthError;
use crate::http::{self, ApiError, Caller, Incoming, Peer, Reply, Request, Response};
use crate::identity;
use crate::net::ConnectionPermit;
use crate::realtime;
use wallcast_core::auth::Role;
use wallcast_core::idempotency::Attempt;

type Answer = Pin<Box<dyn Future<Output = Result<Reply, ApiError>> + Send>>;
type Handler = fn(Arc<App>, Request) -> Answer;

/// Who may call a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Anyone, on every listener.
    Public,
    /// Anyone, but on ingress admins alone.
    Open,
    /// A page: anyone, but on ingress admins alone, and a refusal is a page too.
    Page,
    /// Whoever proves a token, a waiting tablet included.
    Proven,
    /// Whoever proves a token but waiting tablets.
    Known,
    /// Admins and paired tablets.
    House,
    /// Admins.
    Admin,
}

/// Something particular about a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    /// It brings or answers a secret, or ends the caller's own credential: its answer is never kept,
    /// and it takes no `Idempotency-Key`.
    Secret,
}

/// A line of the route table.
pub(crate) struct Route {
    path: &'static str,
    method: Method,
    access: Access,
    handler: Handler,
    marks: &'static [Mark],
}

impl Route {
    /// Its path, with named parts in braces.
    pub(crate) fn path(&self) -> &'static str {
        self.path
    }

    /// Its method.
    pub(crate) fn method(&self) -> &Method {
        &self.method
    }

    /// Who may call it.
    pub(crate) fn access(&self) -> Access {
        self.access
    }

    /// Whether it takes an `Idempotency-Key`: every write of somebody known does, unless it is
    /// marked. Its handler writes through [`Request::write`].
    pub(crate) fn takes_key(&self) -> bool {
        let is_known = !matches!(self.access, Access::Public | Access::Open | Access::Page);
        is_known && self.method != Method::GET && !self.marks.contains(&Mark::Secret)
    }
}

macro_rules! routes {
    ($($method:ident $path:literal $access:ident $handler:path $([$mark:ident])?),* $(,)?) => {
        &[$(Route {
            path: $path,
            method: Method::$method,
            access: Access::$access,
            handler: |app, request| Box::pin($handler(app, request)),
            marks: &[$(Mark::$mark)?],
        }),*]
    };
}

static ROUTES: &[Route] = routes![
    GET    "/"                                    Page   web::home,
    GET    "/pair"                                Page   web::tablet,
    GET    "/admin"                               Page   web::to_admin,
    GET    "/admin/"                              Page   web::admin,
    GET    "/assets/{version}/{*path}"            Public web::asset,
    GET    "/wallcast.js"                         Public web::client_module,
    GET    "/sw.js"                               Public web::service_worker,
    GET    "/manifest.webmanifest"                Public web::manifest,
    GET    "/ca.crt"                              Public pages::authority,
    GET    "/health"                              Public health::get,
    GET    "/metrics"                             Admin  stats::metrics,
    GET    "/api/openapi.json"                    Public openapi::get,
    GET    "/api/me"                              Proven tokens::me,
    GET    "/api/house"                           Admin  system::server_info,
    GET    "/api/audit"                           Admin  audit::list,
    GET    "/api/events"                          Known  events::list,
    GET    "/api/areas"                           House  areas::list,
    POST   "/api/areas"                           Admin  areas::create,
    GET    "/api/areas/{id}"                      House  areas::get,
    PUT    "/api/areas/{id}"                      Admin  areas::change,
    PATCH  "/api/areas/{id}"                      Admin  areas::change,
    DELETE "/api/areas/{id}"                      Admin  areas::delete,
    PATCH  "/api/areas/{id}/toggle"               Admin  areas::toggle,
    GET    "/api/clients"                         Admin  clients::list,
    GET    "/api/clients/{id}"                    House  clients::get,
    PUT    "/api/clients/{id}"                    Admin  clients::change,
    PATCH  "/api/clients/{id}"                    Admin  clients::change,
    DELETE "/api/clients/{id}"                    Admin  clients::delete,
    GET    "/api/clients/{id}/view"               Admin  client_view::get,
    GET    "/api/clients/{id}/position"           House  client_position::get,
    PUT    "/api/clients/{id}/areas"              Admin  clients::set_areas,
    POST   "/api/clients/{id}/areas/{area_id}"    Admin  clients::add_area,
    DELETE "/api/clients/{id}/areas/{area_id}"    Admin  clients::remove_area,
    POST   "/api/clients/{id}/revoke"             Admin  clients::revoke,
    POST   "/api/clients/{id}/disconnect"         Admin  clients::disconnect,
    GET    "/api/lockers"                         House  lockers::list,
    POST   "/api/lockers"                         Admin  lockers::create,
    GET    "/api/lockers/{id}"                    House  lockers::get,
    PATCH  "/api/lockers/{id}"                    Admin  lockers::change,
    DELETE "/api/lockers/{id}"                    Admin  lockers::delete,
    GET    "/api/help"                            House  help::list,
    POST   "/api/help"                            House  help::create,
    GET    "/api/help/{id}"                       House  help::get,
    PATCH  "/api/help/{id}"                       House  help::change,
    GET    "/api/commands"                        House  commands::list,
    POST   "/api/commands"                        Admin  commands::create,
    GET    "/api/commands/{id}"                   House  commands::get,
    GET    "/api/entities"                        House  entities::list,
    POST   "/api/entities/{id}/call"              House  entities::call,
    GET    "/api/positions"                       Admin  client_position::list,
    GET    "/api/services"                        Known  services::list,
    POST   "/api/services"                        Admin  services::create,
    GET    "/api/services/{id}"                   Known  services::get,
    PUT    "/api/services/{id}"                   Admin  services::change,
    PATCH  "/api/services/{id}"                   Admin  services::change,
    DELETE "/api/services/{id}"                   Admin  services::delete,
    GET    "/api/incidents"                       Known  incidents::list,
    POST   "/api/incidents"                       Admin  incidents::create,
    GET    "/api/incidents/{id}"                  Known  incidents::get,
    PUT    "/api/incidents/{id}"                  Admin  incidents::change,
    PATCH  "/api/incidents/{id}"                  Admin  incidents::change,
    DELETE "/api/incidents/{id}"                  Admin  incidents::delete,
    POST   "/api/incidents/{id}/updates"          Admin  incidents::add_update,
    GET    "/api/status"                          Known  board::status,
    GET    "/api/messages"                        Known  messages::list,
    POST   "/api/messages"                        Known  messages::send,
    GET    "/api/messages/unread"                 Known  messages::unread,
    PATCH  "/api/messages/{id}"                   Known  messages::change,
    GET    "/api/conversations"                   Known  messages::conversations,
    GET    "/api/conversations/{id}/messages"     Known  messages::conversation_messages,
    GET    "/api/users/{id}"                      Known  users::get,
    POST   "/api/users/{id}/disconnect"           Admin  users::disconnect,
    POST   "/api/send"                            Proven realtime::send [Secret],
    GET    "/api/v1/websocket/stats"              Admin  stats::stats,
    POST   "/api/v1/websocket/broadcast"          Admin  broadcast::broadcast,
    GET    "/api/websocket/info"                  Admin  stats::info,
    GET    "/api/websocket/status"                Admin  stats::status,
    POST   "/api/websocket/broadcast"             Admin  broadcast::broadcast,
    GET    "/api/tokens"                          Admin  tokens::list,
    POST   "/api/tokens"                          Admin  tokens::create [Secret],
    POST   "/api/tokens/refresh"                  Proven tokens::refresh [Secret],
    DELETE "/api/tokens/{jti}"                    Admin  tokens::revoke,
    POST   "/api/auth/session"                    Proven tokens::open_session [Secret],
    DELETE "/api/auth/session"                    Proven tokens::close_session [Secret],
    GET    "/api/pairing/requests"                Admin  pairing::list,
    POST   "/api/pairing/requests"                Open   pairing::request,
    GET    "/api/pairing/requests/{id}"           Proven pairing::poll,
    POST   "/api/pairing/requests/{id}/approve"   Admin  pairing::approve,
    POST   "/api/pairing/requests/{id}/deny"      Admin  pairing::deny,
    POST   "/api/pairing/codes"                   Admin  pairing::offer [Secret],
    POST   "/api/pairing/complete"                Open   pairing::complete,
];

/// The table by path; each place holds the indexes of its methods.
static BY_PATH: LazyLock<matchit::Router<Vec<&'static Route>>> = LazyLock::new(|| {
    let mut paths: Vec<&str> = ROUTES.iter().map(|route| route.path).collect();
    paths.dedup();
    let mut table = matchit::Router::new();
    for path in paths {
        let routes = ROUTES.iter().filter(|route| route.path == path).collect();
        if let Err(error) = table.insert(path, routes) {
            tracing::error!(path, %error, "a route of our own could not be laid");
        }
    }
    table
});

/// Answers one request.
pub async fn respond(app: Arc<App>, request: Incoming, peer: Peer) -> Response {
    let origin = request.headers().get(ORIGIN).cloned();
    let method = request.method().clone();
    let is_logged = tracing::enabled!(tracing::Level::DEBUG);
    let route = is_logged.then(|| pattern(request.uri().path()));
    let mut response = if realtime::is_socket(&request) {
        let permit = request.extensions().get::<Arc<ConnectionPermit>>().cloned();
        let response = realtime::open(&app, request, peer).await;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS
            && let Some(permit) = permit
        {
            permit.mark_authenticated();
        }
        response
    } else if method == Method::OPTIONS && origin.is_some() {
        let mut response = Reply::no_content().into_response();
        identity::origin::allow_preflight(&mut response);
        response
    } else {
        answer(&app, request, peer).await
    };
    identity::origin::allow(&mut response, origin.as_ref(), &app.config);
    let nosniff = HeaderName::from_static("x-content-type-options");
    response
        .headers_mut()
        .insert(nosniff, HeaderValue::from_static("nosniff"));
    tracing::debug!(%method, route, status = response.status().as_u16(), "answered");
    response
}

async fn answer(app: &Arc<App>, request: Incoming, peer: Peer) -> Response {
    let shown = peer.shown();
    let result = match find(request.method(), request.uri().path()) {
        Ok((route, parameters)) => {
            let page = route.access == Access::Page;
            let root = if route.path == "/admin/" { "../" } else { "" };
            match run(app, route, parameters, request, peer).await {
                Err(error) if page => Ok(pages::refusal(&error, root)),
                result => result,
            }
        }
        Err(error) => Err(error),
    };
    let reply = result.unwrap_or_else(|error| {
        if error.status() != StatusCode::NOT_FOUND {
            tracing::info!(status = error.status().as_u16(), code = error.code(), from = %shown, "refused");
        }
        error.into_reply()
    });
    reply.into_response()
}

/// A path as the log may tell it: without the parts that are named, since one may be a pairing code.
fn pattern(path: &str) -> &'static str {
    match BY_PATH.at(path) {
        Ok(found) => found.value.first().map_or("", |route| route.path),
        Err(_) => "none of ours",
    }
}

type Parameters = Vec<(String, String)>;

/// The route of a method and path, with the named parts of the path decoded.
fn find(method: &Method, path: &str) -> Result<(&'static Route, Parameters), ApiError> {
    let found = BY_PATH.at(path).map_err(|_| ApiError::not_found("path"))?;
    // HEAD is GET without the body, which hyper leaves out by itself (RFC 9110 section 9.3.2).
    let wanted = if method == Method::HEAD {
        &Method::GET
    } else {
        method
    };
    let Some(route) = found.value.iter().find(|route| route.method == *wanted) else {
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

async fn run(
    app: &Arc<App>,
    route: &'static Route,
    parameters: Parameters,
    request: Incoming,
    peer: Peer,
) -> Result<Reply, ApiError> {
    let (head, body) = request.into_parts();
    let query = head.uri.query();
    // Read before anything is refused: a peer that is still sending would lose the answer.
    let body = http::read_body(body).await;
    // Also where nobody need be known: proxies keep URLs, whatever we answer.
    identity::refuse_token_in_url(query)?;
    let caller = match route.access {
        Access::Public => None,
        Access::Open | Access::Page if peer.listener != crate::http::ListenerKind::Ingress => None,
        _ => {
            let page = route.access == Access::Page;
            identity::identify(app, &head.headers, &peer, page).await?
        }
    };
    allow(route.access, caller.as_ref())?;
    if let (Some(caller), Some(permit)) = (&caller, head.extensions.get::<Arc<ConnectionPermit>>())
        // Any stranger may have the token of one that waits to be paired.
        && caller.principal.role() != Role::Pairing
    {
        permit.mark_authenticated();
    }
    let body = body?;
    let begun = match &caller {
        Some(Caller { principal, .. }) if route.takes_key() => {
            idempotency::begin(app, &head, &principal.subject, &body).await?
        }
        _ => None,
    };
    let claim = match begun {
        Some(Attempt::Repeat(kept)) => return Ok(Reply::again(kept)),
        Some(Attempt::First(claim)) => Some(Arc::new(claim)),
        None => None,
    };
    let request = Request {
        parameters,
        query: query.map(str::to_owned),
        headers: head.headers,
        body,
        peer,
        caller,
        claim: claim.clone(),
    };
    let answer = (route.handler)(app.clone(), request);
    if route.method == Method::GET {
        return answer.await;
    }
    // A change that was begun is finished, also when its caller hangs up meanwhile.
    let finished = tokio::spawn(async move {
        let answer = answer.await;
        if answer.is_ok() && claim.is_some_and(|claim| !claim.is_stored()) {
            tracing::error!(
                path = route.path,
                "an answer was not kept under its Idempotency-Key"
            );
        }
        answer
    });
    finished.await.unwrap_or_else(|error| {
        tracing::error!(%error, "a handler failed");
        Err(wallcast_core::store::StoreError::Panicked.into())
    })
}

/// Every line of the route table.
pub(crate) fn routes() -> impl Iterator<Item = &'static Route> {
    ROUTES.iter()
}

/// The method and path of every route that takes an `Idempotency-Key`.
pub fn keyed_routes() -> impl Iterator<Item = (&'static str, &'static str)> {
    let keyed = ROUTES.iter().filter(|route| route.takes_key());
    keyed.map(|route| (route.method.as_str(), route.path))
}

fn allow(access: Access, caller: Option<&Caller>) -> Result<(), ApiError> {
    let role = caller.map(|caller| caller.principal.role());
    match (access, role) {
        (Access::Public | Access::Open | Access::Page, _) => Ok(()),
        (_, None) => Err(AuthError::Missing.into()),
        (_, Some(Role::Admin))
        | (Access::Proven, Some(_))
        | (Access::Known, Some(Role::Client | Role::User))
        | (Access::House, Some(Role::Client)) => Ok(()),
        _ => Err(ApiError::forbidden()),
    }
}

#[cfg(test)]
mod tests {
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
    fn every_write_of_somebody_known_takes_a_key_but_those_with_secrets() {
        let without: Vec<_> = ROUTES
            .iter()
            .filter(|route| route.method != Method::GET && !route.takes_key())
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
    fn unknown_paths_and_methods_are_told_apart() {
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
    fn path_parts_are_decoded() {
        let (_, parameters) = find(&Method::GET, "/api/areas/k%C3%BCche").unwrap();
        assert_eq!(parameters, [("id".to_owned(), "küche".to_owned())]);
        assert!(find(&Method::GET, "/api/areas/%FF").is_err());
    }
}
