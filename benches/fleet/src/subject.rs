//! The servers under test: how to start each, and how to publish to it.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::str::FromStr;
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::process::{Process, SERVER_CORE};
use crate::{Outcome, disk, setup};

/// A server under test, and the dialect of its tablets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    /// rustls and one write per frame: the minimum.
    Limit,
    WallcastJson,
    WallcastSocketIo,
    /// JSON WebSocket with ephemeral states from Home Assistant instead of durable events.
    WallcastStates,
    /// The socketioxide crate.
    Socketioxide,
    /// socket.io on Node.js with better-sqlite3.
    SocketIoNode,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    Json,
    SocketIo,
}

const NAMES: [(Subject, &str); 6] = [
    (Subject::Limit, "limit"),
    (Subject::WallcastJson, "wallcast-json"),
    (Subject::WallcastSocketIo, "wallcast-socketio"),
    (Subject::WallcastStates, "wallcast-ephemeral"),
    (Subject::Socketioxide, "socketioxide"),
    (Subject::SocketIoNode, "socketio-node"),
];

impl Subject {
    pub fn dialect(self) -> Dialect {
        match self {
            Self::Limit | Self::WallcastJson | Self::WallcastStates => Dialect::Json,
            Self::WallcastSocketIo | Self::Socketioxide | Self::SocketIoNode => Dialect::SocketIo,
        }
    }

    pub fn is_wallcast(self) -> bool {
        matches!(
            self,
            Self::WallcastJson | Self::WallcastSocketIo | Self::WallcastStates
        )
    }

    fn command(self, programs: &Path, folder: &Path) -> Command {
        let mut command = Command::new("taskset");
        command.args(["-c", &SERVER_CORE.to_string()]);
        match self {
            Self::Limit => command.arg(programs.join("limit")),
            Self::Socketioxide => command.arg(programs.join("socketioxide")),
            Self::SocketIoNode => command.args(["node", "benches/peers/socketio-node/server.mjs"]),
            Self::WallcastJson | Self::WallcastSocketIo | Self::WallcastStates => {
                command.arg(programs.join("wallcast"))
            }
        };
        command
            .env("WALLCAST_DATA_DIR", folder)
            .env("WALLCAST_LISTEN", "127.0.0.1:0")
            .env("WALLCAST_LOG_LEVEL", "warn")
            // The whole fleet connects from one address, and Socket.IO connections are unauthenticated at first.
            .env("WALLCAST_CONNECTIONS_PER_MINUTE", "100000");
        command
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAMES.iter().find(|(subject, _)| subject == self);
        f.pad(name.map_or("?", |(_, name)| name))
    }
}

impl FromStr for Subject {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = NAMES.iter().find(|(_, name)| *name == text);
        found.map(|(subject, _)| *subject).ok_or_else(|| {
            let names: Vec<_> = NAMES.iter().map(|(_, name)| *name).collect();
            format!("one of {}", names.join(", "))
        })
    }
}

/// A running server. Dropping it kills the process.
pub struct Server {
    subject: Subject,
    pub address: SocketAddr,
    pub process: Process,
    /// The token for publishing, if the server requires one.
    pub admin_token: Option<String>,
    /// The time from exec to the `ready` line.
    pub start_time: Duration,
    programs: PathBuf,
    child: Child,
    folder: TempDir,
}

impl Server {
    /// Starts a server and waits for its `ready https=ADDRESS` line.
    pub async fn start(subject: Subject, programs: &Path) -> Outcome<Self> {
        Self::start_with(subject, programs, Vec::new()).await
    }

    /// Like `start`, with additional environment variables. A restart drops them.
    pub async fn start_with(
        subject: Subject,
        programs: &Path,
        options: Vec<(&'static str, String)>,
    ) -> Outcome<Self> {
        let folder = disk::folder()?;
        let admin_token = match subject.is_wallcast() {
            true => Some(admin_token(programs, folder.path()).await?),
            false => None,
        };
        Self::start_in(subject, programs.to_owned(), folder, admin_token, options).await
    }

    /// Kills the server, as a power cut would, and starts it again with the same folder.
    pub async fn restart(mut self) -> Outcome<Self> {
        self.child.kill().await?;
        Self::start_in(
            self.subject,
            self.programs,
            self.folder,
            self.admin_token,
            Vec::new(),
        )
        .await
    }

    async fn start_in(
        subject: Subject,
        programs: PathBuf,
        folder: TempDir,
        admin_token: Option<String>,
        options: Vec<(&'static str, String)>,
    ) -> Outcome<Self> {
        let started = Instant::now();
        let mut child = subject
            .command(&programs, folder.path())
            .envs(options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let pid = child.id().ok_or("the server has ended already")?;
        let stdout = child.stdout.take().ok_or("no stdout")?;
        let line = BufReader::new(stdout).lines().next_line().await?;
        let start_time = started.elapsed();
        let line = line.ok_or_else(|| format!("{subject} ended before it was ready"))?;
        let address = line
            .split_once("https=")
            .and_then(|(_, rest)| rest.split([' ', ',']).next())
            .ok_or("no https= in the ready line")?
            .parse()?;
        Ok(Self {
            subject,
            address,
            process: Process::of(pid),
            admin_token,
            start_time,
            programs,
            child,
            folder,
        })
    }

    /// The data folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Creates `count` tokens, for members of the organisation if one is given. Returns `None` for servers without
    /// authentication.
    pub async fn tokens(
        &self,
        count: usize,
        organization: Option<&'static str>,
    ) -> Outcome<Vec<Option<String>>> {
        if let Subject::Limit | Subject::Socketioxide = self.subject {
            return Ok(vec![None; count]);
        }
        let path = match self.subject.is_wallcast() {
            true => "/api/tokens",
            false => "/enroll",
        };
        setup::run_concurrently(self, count, move |http, number| {
            Box::pin(async move {
                let subject = format!("tablet-{number}");
                let mut body = json!({ "role": "user", "subject": subject, "name": subject });
                if let Some(organization) = organization {
                    body["organizationId"] = json!(organization);
                }
                let response = http.post(path, &body).await?;
                let token = response["token"]
                    .as_str()
                    .ok_or("no token in the response")?;
                Ok(Some(token.to_owned()))
            })
        })
        .await
    }

    /// The path and the body of the request that publishes an event.
    pub fn publication(&self, data: &serde_json::Value) -> (&'static str, serde_json::Value) {
        let path = match self.subject.is_wallcast() {
            true => "/api/websocket/broadcast",
            false => "/publish",
        };
        (path, json!({ "type": "bench.event", "data": data }))
    }
}

async fn admin_token(programs: &Path, folder: &Path) -> Outcome<String> {
    let output = Command::new(programs.join("wallcast"))
        .args(["token", "create", "--role", "admin", "--name", "bench"])
        .env("WALLCAST_DATA_DIR", folder)
        .output()
        .await?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
