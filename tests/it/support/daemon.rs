//! Starts and stops the real binary on ephemeral ports, and opens clients to it.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};

use super::{Api, Socket, soon, until};

/// A running daemon with its own data folder. Killed when dropped.
pub struct Daemon {
    folder: TempDir,
    options: Vec<(String, String)>,
    process: Child,
    /// The daemon's standard input. Drop it to send end of file.
    pub stdin: Option<ChildStdin>,
    /// From the ready line, as are `ingress` and `plain`.
    pub https: SocketAddr,
    pub ingress: Option<SocketAddr>,
    pub plain: Option<SocketAddr>,
    pub tls: Arc<ClientConfig>,
    log: Arc<std::sync::Mutex<String>>,
}

/// A paired tablet.
pub struct Tablet {
    pub id: String,
    pub token: String,
}

impl Daemon {
    /// Starts with the default options.
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// Starts with options as environment variables without prefix: `("HEARTBEAT_SECONDS", "1")`.
    pub async fn with(options: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self::start_in(folder, owned(options)).await
    }

    /// Starts connected to a scripted Core; `core` comes from `Core::as_addon` or `Core::direct`.
    pub async fn with_core(core: Vec<(String, String)>, options: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let options = core.into_iter().chain(owned(options)).collect();
        Self::start_in(folder, options).await
    }

    /// Starts from a shell that first runs `setup`, for example to set the umask.
    pub async fn with_shell_setup(setup: &str, options: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let options = owned(options);
        let plain = command(folder.path(), &options);
        let mut shell = Command::new("sh");
        shell
            .env_clear()
            .envs(plain.as_std().get_envs().filter_map(|(k, v)| Some((k, v?))))
            .args(["-c", &format!("{setup}; exec \"$0\"")])
            .arg(plain.as_std().get_program());
        Self::launch(shell, folder, options).await
    }

    /// Ignores SIGXFSZ, so that SQLite gets an error at the file size limit instead of the daemon being killed.
    pub async fn ignoring_sigxfsz(options: &[(&str, &str)]) -> Self {
        Self::with_shell_setup("trap '' XFSZ", options).await
    }

    /// Sets the file size limit of the running daemon: a number of bytes, or `unlimited`.
    pub async fn limit_file_size(&self, bytes: &str) {
        let pid = self.pid().to_string();
        let file_size = format!("--fsize={bytes}:");
        let set = Command::new("prlimit")
            .args(["--pid", &pid, &file_size])
            .status()
            .await;
        assert!(set.expect("prlimit runs").success());
    }

    /// Starts on an existing data folder.
    pub async fn start_in(folder: TempDir, options: Vec<(String, String)>) -> Self {
        let program = command(folder.path(), &options);
        Self::launch(program, folder, options).await
    }

    async fn launch(mut program: Command, folder: TempDir, options: Vec<(String, String)>) -> Self {
        let mut process = program
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the daemon starts");
        let log = Arc::new(std::sync::Mutex::new(String::new()));
        let mut stderr = process.stderr.take().expect("stderr is piped");
        let kept = log.clone();
        tokio::spawn(async move {
            let mut chunk = [0; 4096];
            while let Ok(n @ 1..) = stderr.read(&mut chunk).await {
                kept.lock()
                    .unwrap()
                    .push_str(&String::from_utf8_lossy(&chunk[..n]));
            }
        });
        let stdout = process.stdout.take().expect("stdout is piped");
        let mut lines = BufReader::new(stdout).lines();
        let line = soon("the ready line", lines.next_line())
            .await
            .expect("stdout is text");
        let Some(line) = line else {
            panic!("no ready line: {}", log.lock().unwrap())
        };
        let address = |key: &str| {
            let (_, rest) = line
                .split_once(&format!("{key}="))
                .expect("the ready line names it");
            rest.split([' ', ','])
                .next()
                .and_then(|text| text.parse().ok())
        };
        let https = address("https").expect("a public address");
        let (ingress, plain) = (address("ingress"), address("plain"));
        let ca = Api::local(&folder.path().join("wallcast.sock"))
            .get("/ca.crt")
            .await;
        // With certificate files there is no local CA; the test brings its own roots.
        let tls = client_config(if ca.status == 200 {
            root_store(&ca.text)
        } else {
            RootCertStore::empty()
        });
        let stdin = process.stdin.take();
        Self {
            folder,
            options,
            process,
            stdin,
            https,
            ingress,
            plain,
            tls,
            log,
        }
    }

    pub fn pid(&self) -> u32 {
        self.process.id().expect("it runs")
    }

    /// Kills the daemon with SIGKILL and returns its data folder.
    pub async fn kill(mut self) -> TempDir {
        self.process.kill().await.expect("the daemon is killed");
        self.folder
    }

    /// Stops the daemon with SIGTERM, as Supervisor does, and returns its exit status.
    pub async fn stop(&mut self) -> ExitStatus {
        let pid = self.pid().to_string();
        let killed = std::process::Command::new("kill")
            .args(["-TERM", &pid])
            .status();
        assert!(killed.expect("kill runs").success());
        soon("the daemon to exit", self.process.wait())
            .await
            .expect("an exit status")
    }

    /// Kills the daemon with SIGKILL and starts it again on the same folder.
    pub async fn kill_and_restart(mut self) -> Self {
        self.process.kill().await.expect("the daemon is killed");
        Self::start_in(self.folder, self.options).await
    }

    /// Stops the daemon with SIGTERM and starts it again on the same folder with the same options.
    pub async fn restart(mut self) -> Self {
        assert!(self.stop().await.success());
        Self::start_in(self.folder, self.options).await
    }

    /// Stops the daemon with SIGTERM and starts it again on the same folder with these options only: those
    /// of another Core, or none.
    pub async fn restart_with_core(mut self, core: Vec<(String, String)>) -> Self {
        assert!(self.stop().await.success());
        Self::start_in(self.folder, core).await
    }

    /// Runs the command line on this daemon's data folder while it runs.
    pub async fn cli(&self, arguments: &[&str]) -> std::process::Output {
        cli_on(self.folder.path(), arguments).await
    }

    /// Waits until `/health` reports this status for Home Assistant.
    pub async fn until_home_is(&self, status: &str) {
        let api = self.unauthenticated();
        until(status, async || {
            let health = api.get("/health").await.expect(200).json;
            (health["services"]["homeassistant"] == status).then_some(())
        })
        .await;
    }

    /// The log so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn socket_path(&self) -> PathBuf {
        self.folder.path().join("wallcast.sock")
    }

    /// The API on the local UNIX socket, which the command line uses; its caller is an admin.
    pub fn local(&self) -> Api {
        Api::local(&self.socket_path())
    }

    /// The API over TLS with this token.
    pub fn api(&self, token: &str) -> Api {
        Api::tls(self.https, self.tls.clone(), Some(token.to_owned()))
    }

    /// The API over TLS with the `token` of a response body.
    pub fn api_of(&self, body: &Value) -> Api {
        self.api(body["token"].as_str().expect("a token"))
    }

    /// The API over TLS without a token.
    pub fn unauthenticated(&self) -> Api {
        Api::tls(self.https, self.tls.clone(), None)
    }

    /// Creates a token from a request body such as `{"role":…,"name":…}` and returns the response body.
    pub async fn token(&self, body: Value) -> Value {
        self.local()
            .post("/api/tokens", body)
            .await
            .expect(201)
            .json
    }

    /// The API over TLS with a new admin token.
    pub async fn admin(&self) -> Api {
        let token = self.token(json!({ "role": "admin", "name": "test" })).await;
        self.api_of(&token)
    }

    /// Pairs a tablet with a code from an admin.
    pub async fn pair(&self, name: &str, areas: &[&str]) -> Tablet {
        let offer = json!({ "name": name, "areaIds": areas });
        let offer = self
            .local()
            .post("/api/pairing/codes", offer)
            .await
            .expect(201)
            .json;
        let code = json!({ "code": offer["code"] });
        let answer = self
            .unauthenticated()
            .post("/api/pairing/complete", code)
            .await
            .expect(200)
            .json;
        let text = |key: &str| answer[key].as_str().expect("a string").to_owned();
        Tablet {
            id: text("clientId"),
            token: text("token"),
        }
    }

    /// Opens a JSON WebSocket on `/ws` with this token and consumes its welcome.
    pub async fn listen(&self, token: &str) -> Socket {
        let mut socket = self.connect(token).await;
        assert_eq!(socket.next().await["type"], "connection");
        socket
    }

    /// Opens a JSON WebSocket with this token, closes it, and returns the `data` of its welcome.
    pub async fn welcome(&self, token: &str) -> Value {
        let mut socket = self.connect(token).await;
        let welcome = socket.next().await;
        socket.close().await;
        welcome["data"].clone()
    }

    /// Opens a JSON WebSocket on `/ws` without a token.
    pub async fn connect_unauthenticated(&self) -> Socket {
        Socket::open(self, "/ws", None)
            .await
            .expect("the socket opens")
    }

    /// Opens a JSON WebSocket on `/ws` with this token. Its first message is the welcome.
    pub async fn connect(&self, token: &str) -> Socket {
        Socket::open(self, "/ws", Some(token))
            .await
            .expect("the socket opens")
    }
}

fn owned(options: &[(&str, &str)]) -> Vec<(String, String)> {
    options
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_string()))
        .collect()
}

/// Runs the command line on a data folder, whether a daemon runs on it or not.
pub async fn cli_on(folder: &Path, arguments: &[&str]) -> std::process::Output {
    let mut command = command(folder, &[]);
    command.args(arguments).stdin(Stdio::null());
    soon("the command line", command.output())
        .await
        .expect("it runs")
}

/// A command that runs the program on this data folder with these options. Of the test's environment it
/// inherits only `PATH`.
pub fn command(folder: &Path, options: &[(String, String)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wallcast"));
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("WALLCAST_DATA_DIR", folder)
        .env("WALLCAST_LISTEN", "127.0.0.1:0");
    for (name, value) in options {
        match name.as_str() {
            // Defined by Supervisor and by OpenSSL: no prefix.
            "SUPERVISOR_TOKEN" | "SSL_CERT_FILE" => command.env(name, value),
            _ => command.env(format!("WALLCAST_{name}"), value),
        };
    }
    command
}

/// The root certificates of a PEM file.
pub fn root_store(pem: &str) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let ca = CertificateDer::from_pem_slice(pem.as_bytes()).expect("it is PEM");
    roots.add(ca).expect("it is a CA");
    roots
}

/// TLS client configuration that trusts only these roots.
pub fn client_config(roots: RootCertStore) -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

/// Whether the file's mode is 0600.
pub fn is_private(path: &Path) -> bool {
    std::fs::metadata(path)
        .expect("the file is there")
        .permissions()
        .mode()
        & 0o777
        == 0o600
}
