//! HTTP API client of the command line: sends requests to the running daemon over its control
//! socket, or handles them in this process if no daemon runs. No other code knows which of the two
//! is used.

use std::{future::Future, io, path::PathBuf, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::net::UnixStream;

use super::CliError;
use crate::{
    config::{Config, ControlPath},
    daemon::{self, Offline, StartError},
};

/// Maximum size of an answer, in bytes; a page of a list is far smaller.
const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;

const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Where requests are handled.
#[derive(Debug)]
pub enum ApiClient {
    /// By the daemon that runs on the data folder.
    Daemon(ControlPath),
    /// In this process, which opened the folder under its lock.
    Offline(Offline),
}

/// An answer with any status.
#[derive(Debug)]
pub struct ApiReply {
    pub status: StatusCode,
    pub body: Bytes,
}

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum ApiClientError {
    /// The control socket exists but cannot be used.
    #[error("the daemon's socket in {} cannot be used: {cause}; run this command as the daemon's user", folder.display())]
    Socket { folder: PathBuf, cause: io::Error },
    /// The daemon is gone, or its answer is not the expected one.
    #[error("the daemon did not answer: {0}")]
    NoAnswer(String),
    /// The API answered with an error; its message.
    #[error("{0}")]
    Refused(String),
    /// No daemon runs, and the data folder cannot be opened.
    #[error(transparent)]
    Start(#[from] StartError),
}

impl ApiClientError {
    /// Whether an option has to be changed (exit code 2).
    pub fn is_option(&self) -> bool {
        matches!(self, Self::Start(error) if error.is_option())
    }

    fn no_answer(cause: impl ToString) -> Self {
        Self::NoAnswer(cause.to_string())
    }
}

impl ApiClient {
    /// Uses the daemon if one runs on the data folder, otherwise opens the folder itself.
    pub async fn open(config: Config) -> Result<Self, ApiClientError> {
        match Self::running_daemon(&config).await? {
            Some(api) => Ok(api),
            None => Ok(Self::Offline(daemon::offline(config).await?)),
        }
    }

    /// The daemon, if one runs. A killed daemon leaves a socket file that refuses connections: that
    /// counts as none.
    pub async fn running_daemon(config: &Config) -> Result<Option<Self>, ApiClientError> {
        let unusable = |cause| ApiClientError::Socket {
            folder: config.data_dir.clone(),
            cause,
        };
        let is_absent = |error: &io::Error| {
            matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            )
        };
        let path = match ControlPath::in_folder(&config.data_dir) {
            Ok(path) => path,
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(unusable(error)),
        };
        match UnixStream::connect(path.as_path()).await {
            Ok(_) => Ok(Some(Self::Daemon(path))),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(unusable(error)),
        }
    }

    /// Sends one request and returns the answer with any status. `path` is percent-encoded and
    /// begins with `/`.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<ApiReply, ApiClientError> {
        let request = request(method, path, body)?;
        match self {
            Self::Offline(offline) => read(offline.call(request).await).await,
            Self::Daemon(socket) => {
                tokio::time::timeout(REQUEST_TIMEOUT, exchange(socket, request))
                    .await
                    .map_err(|_| {
                        ApiClientError::NoAnswer(format!(
                            "nothing within {} s",
                            REQUEST_TIMEOUT.as_secs()
                        ))
                    })?
            }
        }
    }

    /// Sends one request and parses the answer.
    ///
    /// # Errors
    /// Any status other than 2xx becomes the API's own error message.
    pub async fn request<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<T, ApiClientError> {
        let reply = self.send(method, path, body).await?.require_success()?;
        serde_json::from_slice(&reply.body).map_err(ApiClientError::no_answer)
    }
}

impl ApiReply {
    /// The answer if its status is 2xx, otherwise the API's error message.
    pub fn require_success(self) -> Result<Self, ApiClientError> {
        if self.status.is_success() {
            return Ok(self);
        }
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let text = body.get("error").and_then(Value::as_str);
        Err(ApiClientError::Refused(match text {
            Some(text) => text.to_owned(),
            None => format!("the daemon answers {}", self.status),
        }))
    }
}

fn request(
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> Result<Request<Full<Bytes>>, ApiClientError> {
    let builder = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, "localhost");
    let request = match body {
        Some(json) => builder
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::from(json.to_string())),
        None => builder.body(Full::default()),
    };
    request.map_err(ApiClientError::no_answer)
}

async fn exchange(
    socket: &ControlPath,
    request: Request<Full<Bytes>>,
) -> Result<ApiReply, ApiClientError> {
    let stream = UnixStream::connect(socket.as_path())
        .await
        .map_err(ApiClientError::no_answer)?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(ApiClientError::no_answer)?;
    let answered = async move {
        let response = sender.send_request(request).await;
        read(response.map_err(ApiClientError::no_answer)?).await
    };
    // Connection errors also reach the request, as its error.
    let (reply, _) = tokio::join!(answered, connection);
    reply
}

async fn read<B>(response: Response<B>) -> Result<ApiReply, ApiClientError>
where
    B: hyper::body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let status = response.status();
    let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES);
    let body = body
        .collect()
        .await
        .map_err(ApiClientError::no_answer)?
        .to_bytes();
    Ok(ApiReply { status, body })
}

/// Runs a future on this thread.
pub(super) fn block_on<F: Future>(future: F) -> Result<F::Output, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::Failed(format!("the runtime cannot start: {error}")))?;
    Ok(runtime.block_on(future))
}
