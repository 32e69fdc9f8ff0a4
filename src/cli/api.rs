//! The API as the command line asks it: through the running daemon's control socket, or else in this process.
//! The only place that knows which of the two it is.

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

/// The biggest answer that is taken, in bytes: a page of a list is far smaller.
const LARGEST_ANSWER: usize = 16 * 1024 * 1024;

/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Who answers.
#[derive(Debug)]
pub enum Api {
    /// The daemon that runs on the data folder.
    Daemon(ControlPath),
    /// Nobody else: the folder is opened here, under its lock.
    Offline(Offline),
}

/// An answer of any status.
#[derive(Debug)]
pub struct Reply {
    /// The HTTP status.
    pub status: StatusCode,
    /// The whole body.
    pub body: Bytes,
}

/// Why there is no good answer.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The control socket is there, but not for us.
    #[error("the daemon's socket in {} cannot be used: {cause}; run this as the user who runs the daemon", folder.display())]
    Socket {
        /// The data folder.
        folder: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The daemon went away, or speaks something else.
    #[error("the daemon did not answer: {0}")]
    NoAnswer(String),
    /// The API refused; its own words.
    #[error("{0}")]
    Refused(String),
    /// No daemon runs, and the data folder cannot be opened here.
    #[error(transparent)]
    Start(#[from] StartError),
}

impl ApiError {
    /// Whether an option is to blame.
    pub fn is_option(&self) -> bool {
        matches!(self, Self::Start(error) if error.is_option())
    }

    fn no_answer(cause: impl ToString) -> Self {
        Self::NoAnswer(cause.to_string())
    }
}

impl Api {
    /// The daemon if one runs on the data folder, otherwise the folder itself.
    pub async fn open(config: Config) -> Result<Self, ApiError> {
        match Self::beside_daemon(&config).await? {
            Some(api) => Ok(api),
            None => Ok(Self::Offline(daemon::offline(config).await?)),
        }
    }

    /// The daemon, if one runs. A socket file that nobody listens on is what a killed daemon leaves: none runs.
    pub async fn beside_daemon(config: &Config) -> Result<Option<Self>, ApiError> {
        let unusable = |cause| ApiError::Socket {
            folder: config.data_dir.clone(),
            cause,
        };
        let nobody = |error: &io::Error| {
            matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            )
        };
        let path = match ControlPath::of(&config.data_dir) {
            Ok(path) => path,
            Err(error) if nobody(&error) => return Ok(None),
            Err(error) => return Err(unusable(error)),
        };
        match UnixStream::connect(path.as_path()).await {
            Ok(_) => Ok(Some(Self::Daemon(path))),
            Err(error) if nobody(&error) => Ok(None),
            Err(error) => Err(unusable(error)),
        }
    }

    /// Sends one request and gives the answer, whatever its status. `path` begins with `/` and is encoded.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Reply, ApiError> {
        let request = request(method, path, body)?;
        match self {
            Self::Offline(offline) => read(offline.call(request).await).await,
            Self::Daemon(socket) => tokio::time::timeout(PATIENCE, exchange(socket, request))
                .await
                .map_err(|_| {
                    ApiError::NoAnswer(format!("nothing within {} s", PATIENCE.as_secs()))
                })?,
        }
    }

    /// Sends one request and reads the good answer; any other status is the API's own error.
    pub async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<T, ApiError> {
        let reply = self.send(method, path, body).await?.good()?;
        serde_json::from_slice(&reply.body).map_err(ApiError::no_answer)
    }
}

impl Reply {
    /// This answer if its status is a good one, otherwise the error that the API put into words.
    pub fn good(self) -> Result<Self, ApiError> {
        if self.status.is_success() {
            return Ok(self);
        }
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let text = body.get("error").and_then(Value::as_str);
        Err(ApiError::Refused(match text {
            Some(text) => text.to_owned(),
            None => format!("the daemon answers {}", self.status),
        }))
    }
}

fn request(
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> Result<Request<Full<Bytes>>, ApiError> {
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
    request.map_err(ApiError::no_answer)
}

async fn exchange(socket: &ControlPath, request: Request<Full<Bytes>>) -> Result<Reply, ApiError> {
    let stream = UnixStream::connect(socket.as_path())
        .await
        .map_err(ApiError::no_answer)?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(ApiError::no_answer)?;
    let asked = async move {
        let response = sender.send_request(request).await;
        read(response.map_err(ApiError::no_answer)?).await
    };
    // The connection's own errors reach the request as well, in its words.
    let (reply, _) = tokio::join!(asked, connection);
    reply
}

async fn read<B>(response: Response<B>) -> Result<Reply, ApiError>
where
    B: hyper::body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let status = response.status();
    let body = Limited::new(response.into_body(), LARGEST_ANSWER);
    let body = body
        .collect()
        .await
        .map_err(ApiError::no_answer)?
        .to_bytes();
    Ok(Reply { status, body })
}

/// Runs a short command's future on this thread.
pub(super) fn block_on<F: Future>(future: F) -> Result<F::Output, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::Failed(format!("the runtime cannot start: {error}")))?;
    Ok(runtime.block_on(future))
}
