//! Client for the REST API of Home Assistant's Supervisor (plain HTTP inside the host). Read-only,
//! keeps no state, and never shows its token.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper::{Request, StatusCode, Uri, header};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Time limit for one request, connecting included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum size of an answer, in bytes.
const MAX_ANSWER_BYTES: usize = 1024 * 1024;
/// Under this path Supervisor proxies Home Assistant's own answers, without an envelope.
const CORE_API: &str = "/core/api/";

/// The token from the environment variable `SUPERVISOR_TOKEN`. It changes with every start of the
/// container, so never store it. `Debug` prints `***`.
#[derive(Clone)]
pub struct SupervisorToken(String);

impl SupervisorToken {
    pub fn new(token: impl Into<String>) -> Self {
        Self(token.into())
    }
}

impl fmt::Debug for SupervisorToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Why a request to Supervisor failed.
#[derive(Debug, thiserror::Error)]
pub enum SupervisorError {
    /// The option `supervisor_url` is invalid.
    #[error("supervisor_url \"{0}\" is not of the form http://HOST[:PORT]")]
    Url(String),
    /// The token contains characters that are not allowed in a header.
    #[error("SUPERVISOR_TOKEN is not a token")]
    Token,
    /// No connection, or it was lost.
    #[error("Supervisor cannot be reached: {0}")]
    Unreachable(#[from] std::io::Error),
    /// An HTTP error.
    #[error("HTTP error from Supervisor: {0}")]
    Http(#[from] hyper::Error),
    /// No answer within the time limit.
    #[error("Supervisor did not answer {0} in time")]
    Timeout(String),
    /// The add-on lacks the permission: `hassio_api` or `homeassistant_api` is missing in
    /// config.yaml.
    #[error("Supervisor refuses {0}: the add-on lacks hassio_api or homeassistant_api")]
    Forbidden(String),
    /// The status is not 200, or the envelope reports an error.
    #[error("Supervisor answered {path} with {status}: {message}")]
    Refused {
        path: String,
        status: StatusCode,
        /// Supervisor's error message.
        message: String,
    },
    /// The answer is too large or not the expected JSON.
    #[error("Supervisor's answer to {path} cannot be read: {reason}")]
    Unreadable { path: String, reason: String },
}

impl SupervisorError {
    /// Whether a later attempt may succeed without a change of settings.
    pub fn is_temporary(&self) -> bool {
        !matches!(self, Self::Url(_) | Self::Token | Self::Forbidden(_))
    }
}

/// A client for one Supervisor. Each request opens its own connection.
#[derive(Debug, Clone)]
pub struct Supervisor {
    authority: String,
    host: String,
    port: u16,
    prefix: String,
    bearer: header::HeaderValue,
    timeout: Duration,
}

/// Supervisor wraps every answer in this, except those of the Core proxy.
#[derive(Deserialize)]
#[serde(tag = "result", rename_all = "lowercase")]
enum Envelope<T> {
    Ok { data: T },
    Error { message: Option<String> },
}

impl Supervisor {
    /// `url` is the option `supervisor_url`, normally `http://supervisor`.
    ///
    /// # Errors
    /// Fails if the URL is not plain HTTP, or the token is not valid in a header.
    pub fn new(url: &str, token: &SupervisorToken) -> Result<Self, SupervisorError> {
        let wrong = || SupervisorError::Url(url.to_owned());
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        let authority = uri.authority().ok_or_else(wrong)?;
        if uri.scheme_str() != Some("http")
            || uri.query().is_some()
            || authority.as_str().contains('@')
        {
            return Err(wrong());
        }
        let mut bearer = header::HeaderValue::from_str(&format!("Bearer {}", token.0))
            .map_err(|_| SupervisorError::Token)?;
        bearer.set_sensitive(true);
        Ok(Self {
            authority: authority.to_string(),
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            port: authority.port_u16().unwrap_or(80),
            prefix: uri.path().trim_end_matches('/').to_owned(),
            bearer,
            timeout: REQUEST_TIMEOUT,
        })
    }

    /// Sets the time limit of each request.
    pub fn with_timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    /// Sends `GET path`; `path` starts with a slash. Returns the envelope's data, or the whole
    /// answer below `/core/api/`.
    pub async fn get_json<T: DeserializeOwned>(&self, path: &str) -> Result<T, SupervisorError> {
        let (status, body) = tokio::time::timeout(self.timeout, self.get(path))
            .await
            .map_err(|_| SupervisorError::Timeout(path.to_owned()))??;
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return Err(SupervisorError::Forbidden(path.to_owned()));
        }
        let refused = |message: Option<String>| SupervisorError::Refused {
            path: path.to_owned(),
            status,
            message: message.unwrap_or_else(|| "no reason given".to_owned()),
        };
        if status != StatusCode::OK {
            let message = match serde_json::from_slice::<Envelope<IgnoredAny>>(&body) {
                Ok(Envelope::Error { message }) => message,
                _ => None,
            };
            return Err(refused(message));
        }
        let unreadable = |error: serde_json::Error| SupervisorError::Unreadable {
            path: path.to_owned(),
            reason: error.to_string(),
        };
        if path.starts_with(CORE_API) {
            return serde_json::from_slice(&body).map_err(unreadable);
        }
        match serde_json::from_slice(&body).map_err(unreadable)? {
            Envelope::Ok { data } => Ok(data),
            Envelope::Error { message } => Err(refused(message)),
        }
    }

    async fn get(&self, path: &str) -> Result<(StatusCode, Bytes), SupervisorError> {
        let socket = TcpStream::connect((self.host.as_str(), self.port)).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(socket)).await?;
        // Dropping the set aborts the connection, also when the time limit drops this future.
        let mut connections = JoinSet::new();
        connections.spawn(connection);
        let unreadable = |reason: String| SupervisorError::Unreadable {
            path: path.to_owned(),
            reason,
        };
        let request = Request::get(format!("{}{path}", self.prefix))
            .header(header::HOST, &self.authority)
            .header(header::AUTHORIZATION, self.bearer.clone())
            .header(header::ACCEPT, "application/json")
            .body(Empty::<Bytes>::new())
            .map_err(|error| unreadable(error.to_string()))?;
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES)
            .collect()
            .await
            .map_err(|error| unreadable(error.to_string()))?;
        Ok((status, body.to_bytes()))
    }
}

/// A fake Supervisor on a loopback port; the test sets its answers.
#[cfg(test)]
pub(crate) mod fake {
    use std::collections::HashMap;
    use std::convert::Infallible;
    use std::sync::{Arc, Mutex};

    use http_body_util::Full;
    use hyper::server::conn::http1;
    use hyper::service::service_fn;
    use hyper::{Request, Response, body::Incoming};
    use tokio::net::TcpListener;

    use super::*;

    pub(crate) const TOKEN: &str = "a-token-nobody-may-read";
    type Answers = Arc<Mutex<HashMap<String, (u16, String)>>>;

    pub(crate) struct FakeSupervisor {
        pub(crate) url: String,
        answers: Answers,
        _server: JoinSet<()>,
    }

    impl FakeSupervisor {
        pub(crate) async fn start() -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}", listener.local_addr().unwrap());
            let answers = Answers::default();
            let mut server = JoinSet::new();
            let served = Arc::clone(&answers);
            server.spawn(async move {
                loop {
                    let (socket, _) = listener.accept().await.unwrap();
                    let answers = Arc::clone(&served);
                    tokio::spawn(http1::Builder::new().serve_connection(
                        TokioIo::new(socket),
                        service_fn(move |request| answer(Arc::clone(&answers), request)),
                    ));
                }
            });
            Self {
                url,
                answers,
                _server: server,
            }
        }

        pub(crate) fn set_answer(&self, path: &str, status: u16, body: &str) {
            self.answers
                .lock()
                .unwrap()
                .insert(path.to_owned(), (status, body.to_owned()));
        }

        pub(crate) fn client(&self) -> Supervisor {
            Supervisor::new(&self.url, &SupervisorToken::new(TOKEN)).unwrap()
        }
    }

    /// Requests without a configured answer wait forever.
    async fn answer(
        answers: Answers,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        let authorized = request
            .headers()
            .get(header::AUTHORIZATION)
            .is_some_and(|value| value == &format!("Bearer {TOKEN}"));
        let set = answers.lock().unwrap().get(request.uri().path()).cloned();
        let (status, body) = match set {
            Some(set) if authorized => set,
            Some(_) => (401, String::new()),
            None => std::future::pending().await,
        };
        let response = Response::builder()
            .status(status)
            .body(Full::from(body))
            .unwrap();
        Ok(response)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::fake::{FakeSupervisor, TOKEN};
    use super::*;

    #[tokio::test]
    async fn get_json_unwraps_envelope_except_for_core() {
        let fake = FakeSupervisor::start().await;
        fake.set_answer("/info", 200, r#"{"result":"ok","data":{"hostname":"pi"}}"#);
        fake.set_answer(
            "/core/api/config",
            200,
            r#"{"internal_url":null,"result":"ok"}"#,
        );
        let client = fake.client();
        assert_eq!(
            client.get_json::<Value>("/info").await.unwrap(),
            json!({"hostname": "pi"})
        );
        let config: Value = client.get_json("/core/api/config").await.unwrap();
        assert_eq!(config, json!({"internal_url": null, "result": "ok"}));
    }

    #[tokio::test]
    async fn errors_name_cause_and_remedy() {
        let fake = FakeSupervisor::start().await;
        fake.set_answer(
            "/a",
            200,
            r#"{"result":"error","message":"System is not ready"}"#,
        );
        fake.set_answer("/b", 400, r#"{"result":"error","message":"no"}"#);
        fake.set_answer("/c", 403, "");
        fake.set_answer("/core/api/config", 502, "Bad Gateway");
        fake.set_answer("/e", 200, "<html>");
        let client = fake.client();
        let failure = async |path: &str| {
            let error = client.get_json::<Value>(path).await.unwrap_err();
            (error.is_temporary(), error.to_string())
        };
        assert!(failure("/a").await.1.contains("System is not ready"));
        assert!(failure("/b").await.1.contains("400 Bad Request: no"));
        let (is_temporary, text) = failure("/c").await;
        assert!(!is_temporary && text.contains("hassio_api"));
        assert!(failure("/core/api/config").await.1.contains("502"));
        assert!(failure("/e").await.1.contains("cannot be read"));
    }

    #[tokio::test]
    async fn silent_or_absent_supervisor_fails_in_time() {
        let fake = FakeSupervisor::start().await;
        let client = fake.client().with_timeout(Duration::from_millis(20));
        assert!(matches!(
            client.get_json::<Value>("/info").await,
            Err(SupervisorError::Timeout(_))
        ));
        let gone = Supervisor::new("http://127.0.0.1:1", &SupervisorToken::new("x")).unwrap();
        assert!(matches!(
            gone.get_json::<Value>("/info").await,
            Err(SupervisorError::Unreachable(_))
        ));
    }

    #[test]
    fn url_must_be_plain_http_and_token_stays_hidden() {
        let token = SupervisorToken::new(TOKEN);
        for wrong in [
            "",
            "supervisor",
            "https://supervisor",
            "http://u:p@supervisor",
            "http://",
            "http://a/?b",
        ] {
            assert!(Supervisor::new(wrong, &token).is_err(), "{wrong}");
        }
        let client = Supervisor::new("http://[::1]:8080/api/", &token).unwrap();
        assert_eq!(
            (client.host.as_str(), client.port, client.prefix.as_str()),
            ("::1", 8080, "/api")
        );
        assert!(!format!("{client:?} {token:?}").contains(TOKEN));
        assert_eq!(format!("{token:?}"), "***");
        assert!(Supervisor::new("http://supervisor", &SupervisorToken::new("a\nb")).is_err());
    }
}
