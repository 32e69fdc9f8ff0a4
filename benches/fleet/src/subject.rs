//! The servers that are measured: how each is started and spoken to.

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
use crate::{Outcome, disk, house};

/// A server, and the dialect in which it is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    /// rustls and one write for each frame, nothing else.
    Limit,
    WallcastJson,
    WallcastSocketIo,
    /// The first, told states of Home Assistant's, which nobody keeps.
    WallcastStates,
    /// The socketioxide crate.
    Socketioxide,
    /// socket.io on Node with better-sqlite3, as the first of Wallcast's sources describes it.
    Seed0,
}

/// How its tablets speak.
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
    (Subject::Seed0, "seed0"),
];

impl Subject {
    pub fn dialect(self) -> Dialect {
        match self {
            Self::Limit | Self::WallcastJson | Self::WallcastStates => Dialect::Json,
            Self::WallcastSocketIo | Self::Socketioxide | Self::Seed0 => Dialect::SocketIo,
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
            Self::Seed0 => command.args(["node", "benches/peers/seed0/server.mjs"]),
            Self::WallcastJson | Self::WallcastSocketIo | Self::WallcastStates => {
                command.arg(programs.join("wallcast"))
            }
        };
        command
            .env("WALLCAST_DATA_DIR", folder)
            .env("WALLCAST_LISTEN", "127.0.0.1:0")
            .env("WALLCAST_LOG_LEVEL", "warn")
            // All of a fleet comes from one address, and Socket.IO's tokens come after the upgrade.
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

/// A server that runs; killed when dropped.
pub struct Server {
    subject: Subject,
    pub address: SocketAddr,
    pub process: Process,
    /// What publishes to it.
    pub admin_token: Option<String>,
    /// From the start of its process to its `ready` line.
    pub started_within: Duration,
    programs: PathBuf,
    child: Child,
    folder: TempDir,
}

impl Server {
    /// Starts it and waits for its `ready https=ADDRESS` line.
    pub async fn start(subject: Subject, programs: &Path) -> Outcome<Self> {
        Self::start_with(subject, programs, Vec::new()).await
    }

    /// The same with more in its environment, until it is started again.
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

    /// Kills it, as a power cut does, and starts it on the same folder.
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
        let begun = Instant::now();
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
        let started_within = begun.elapsed();
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
            started_within,
            programs,
            child,
            folder,
        })
    }

    /// Where it keeps its files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A token for each of so many tablets, which belong to an organisation of Wallcast's if one is
    /// named; none where the server asks for none.
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
        house::share_out(self, count, move |http, number| {
            Box::pin(async move {
                let subject = format!("tablet-{number}");
                let mut body = json!({ "role": "user", "subject": subject, "name": subject });
                if let Some(organization) = organization {
                    body["organizationId"] = json!(organization);
                }
                let answer = http.post(path, &body).await?;
                let token = answer["token"].as_str().ok_or("no token in the answer")?;
                Ok(Some(token.to_owned()))
            })
        })
        .await
    }

    /// Where an event is published, and the body that publishes it.
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
