//! The command `watch` against a small server with its own certificate.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
};

use futures_util::{SinkExt, StreamExt};
use rustls::pki_types::PrivateKeyDer;
use tokio::{net::TcpListener, runtime::Runtime};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::{
    accept_hdr_async,
    tungstenite::{
        Message,
        handshake::server::{ErrorResponse, Request, Response},
        protocol::CloseFrame,
    },
};

use crate::program::{RunResult, program, run_result, wallcast_with_input};

/// What the server does with a connection.
#[derive(Clone)]
enum Behavior {
    /// Refuses the handshake with this status.
    Refuse(u16),
    /// Sends these frames, then closes with code and reason.
    Close(Vec<&'static str>, u16, &'static str),
    /// Sends these frames, then drops the connection without a close frame.
    Drop(Vec<&'static str>),
    /// Sends these frames and keeps the connection until the client closes it.
    Stay(Vec<&'static str>),
}

struct Server {
    address: SocketAddr,
    folder: tempfile::TempDir,
    /// Path and `Authorization` of each handshake.
    handshakes: Arc<Mutex<Vec<(String, String)>>>,
    _runtime: Runtime,
}

const WELCOME: &str = r#"{"type":"connection","data":{"epoch":"e1","lastEventId":4},"timestamp":"2026-01-01T00:00:00.000Z"}"#;
const AREA: &str = r#"{"type":"area_enabled","id":5,"data":{"areaId":"area_1"},"timestamp":"2026-01-01T00:00:01.000Z"}"#;

impl Server {
    /// Uses one behavior per connection, in order, and repeats the last one.
    fn start(names: &[&str], behaviors: Vec<Behavior>) -> Self {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let certified = rcgen::generate_simple_self_signed(names).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.crt"), certified.cert.pem()).unwrap();
        std::fs::write(folder.path().join("token"), "eyJ.secret\n").unwrap();
        let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certified.cert.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let handshakes: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
        runtime.spawn(serve(
            listener,
            acceptor,
            behaviors,
            Arc::clone(&handshakes),
        ));
        Self {
            address,
            folder,
            handshakes,
            _runtime: runtime,
        }
    }

    fn url(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The `watch` command with this server's URL, certificate and token.
    fn command(&self) -> Command {
        let mut command = program();
        command.arg("watch").arg(self.url());
        command.arg("--ca").arg(self.file("ca.crt"));
        command.arg("--token-file").arg(self.file("token"));
        command
    }

    fn watch(&self) -> RunResult {
        run_result(self.command().output().unwrap())
    }

    fn handshakes(&self) -> Vec<(String, String)> {
        self.handshakes.lock().unwrap().clone()
    }
}

async fn serve(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    behaviors: Vec<Behavior>,
    handshakes: Arc<Mutex<Vec<(String, String)>>>,
) {
    let mut remaining = behaviors.into_iter();
    let mut behavior = Behavior::Refuse(500);
    loop {
        let (tcp, _) = listener.accept().await.unwrap();
        // A client that does not trust the certificate closes the connection here.
        let Ok(tls) = acceptor.accept(tcp).await else {
            continue;
        };
        behavior = remaining.next().unwrap_or(behavior);
        let handshakes = Arc::clone(&handshakes);
        let current = behavior.clone();
        #[allow(
            clippy::result_large_err,
            reason = "the library defines the type of the callback"
        )]
        let check = move |request: &Request, response: Response| {
            let token = request.headers()["authorization"]
                .to_str()
                .unwrap()
                .to_owned();
            handshakes
                .lock()
                .unwrap()
                .push((request.uri().to_string(), token));
            match current {
                Behavior::Refuse(status) => {
                    let text = r#"{"success":false,"error":"refused by the server"}"#;
                    let mut refusal = ErrorResponse::new(Some(text.to_owned()));
                    *refusal.status_mut() = status.try_into().unwrap();
                    Err(refusal)
                }
                _ => Ok(response),
            }
        };
        let Ok(mut socket) = Box::pin(accept_hdr_async(tls, check)).await else {
            continue;
        };
        let (Behavior::Close(frames, ..) | Behavior::Drop(frames) | Behavior::Stay(frames)) =
            &behavior
        else {
            continue;
        };
        for frame in frames {
            socket.send(Message::text(*frame)).await.unwrap();
        }
        match &behavior {
            Behavior::Close(_, code, reason) => {
                let frame = CloseFrame {
                    code: (*code).into(),
                    reason: (*reason).into(),
                };
                socket.close(Some(frame)).await.unwrap();
                while let Some(Ok(_)) = socket.next().await {}
            }
            Behavior::Stay(_) => while let Some(Ok(_)) = socket.next().await {},
            _ => {}
        }
    }
}

#[test]
fn watch_prints_one_line_per_event_and_the_close_reason() {
    let server = Server::start(
        &["localhost"],
        vec![Behavior::Close(vec![WELCOME, AREA], 4403, "revoked")],
    );
    let result = server.watch();
    assert_eq!(result.code, Some(1));
    let lines: Vec<&str> = result.stdout.lines().collect();
    assert_eq!(lines.len(), 2, "{result:?}");
    assert_eq!(
        lines[1],
        r#"2026-01-01T00:00:01.000Z  area_enabled            {"areaId":"area_1"}"#
    );
    let last = result.stderr.lines().last().unwrap();
    assert_eq!(
        last,
        "wallcast: closed by the server: revoked (4403): the token was revoked; use a new one"
    );
    assert!(!result.stderr.contains("eyJ") && !result.stdout.contains("eyJ"));
    assert_eq!(
        server.handshakes(),
        [("/ws".to_owned(), "Bearer eyJ.secret".to_owned())]
    );
}

#[test]
fn watch_with_json_prints_frames_unchanged() {
    let server = Server::start(
        &["localhost"],
        vec![Behavior::Close(vec![WELCOME, AREA], 4410, "inactive")],
    );
    let output = server.command().arg("--json").output().unwrap();
    assert_eq!(run_result(output).stdout, format!("{WELCOME}\n{AREA}\n"));
}

#[test]
fn watch_reconnects_and_resumes_after_a_drop() {
    let behaviors = vec![
        Behavior::Drop(vec![WELCOME, AREA]),
        Behavior::Close(vec![], 4000, "try_again"),
        Behavior::Refuse(503),
        Behavior::Close(vec![], 4401, "unauthenticated"),
    ];
    let server = Server::start(&["localhost"], behaviors);
    let result = server.watch();
    assert_eq!(result.code, Some(1), "{result:?}");
    let paths: Vec<String> = server
        .handshakes()
        .into_iter()
        .map(|(path, _)| path)
        .collect();
    let resumed = "/ws?since=5&epoch=e1";
    assert_eq!(paths, ["/ws", resumed, resumed, resumed], "{result:?}");
    assert!(
        result
            .stderr
            .contains("closed by the server: try_again (4000); trying again in "),
        "{result:?}"
    );
}

#[test]
fn watch_ends_after_a_refused_handshake() {
    for (status, part) in [
        (401, "the token is not accepted (401"),
        (403, "this token may not connect there (403"),
        (
            429,
            "too many connections from this address; wait a minute (429",
        ),
    ] {
        let server = Server::start(&["localhost"], vec![Behavior::Refuse(status)]);
        let result = server.watch();
        assert!(result.error_line(1).contains(part), "{result:?}");
        assert_eq!(server.handshakes().len(), 1);
    }
}

#[test]
fn watch_sends_no_token_to_untrusted_certificate() {
    let server = Server::start(&["localhost"], vec![Behavior::Stay(vec![])]);
    let mut command = program();
    command
        .args(["watch", &server.url()])
        .env("WALLCAST_TOKEN", "eyJ.secret");
    let result = run_result(command.output().unwrap());
    let line = result.error_line(1);
    let fetch = format!("curl -k https://localhost:{}/ca.crt", server.address.port());
    assert!(line.contains(&fetch) && line.contains("--ca "), "{line}");
    assert!(server.handshakes().is_empty());
}

#[test]
fn watch_reports_certificate_for_another_name() {
    let server = Server::start(&["panel.local"], vec![Behavior::Stay(vec![])]);
    let result = server.watch();
    assert!(
        result.error_line(1).contains("is for other names"),
        "{result:?}"
    );
    assert!(server.handshakes().is_empty());
}

#[test]
fn watch_reads_token_from_stdin() {
    let server = Server::start(
        &["localhost"],
        vec![Behavior::Close(vec![], 4409, "superseded")],
    );
    let mut command = program();
    command.args(["watch", &server.url(), "--token-file", "-", "--ca"]);
    command.arg(server.file("ca.crt"));
    let result = wallcast_with_input(&mut command, "eyJ.piped\n");
    assert!(result.stderr.contains("superseded"), "{result:?}");
    assert_eq!(server.handshakes()[0].1, "Bearer eyJ.piped");
}

#[test]
fn watch_exits_0_after_sigint() {
    let server = Server::start(&["localhost"], vec![Behavior::Stay(vec![WELCOME])]);
    let mut child = server
        .command()
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    first_line(&mut child);
    let pid = child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &pid])
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn watch_exits_0_when_stdout_is_closed() {
    let server = Server::start(
        &["localhost"],
        vec![
            Behavior::Drop(vec![WELCOME]),
            Behavior::Stay(vec![WELCOME, AREA]),
        ],
    );
    let mut child = server
        .command()
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    first_line(&mut child);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn watch_ends_when_the_first_connect_fails() {
    let port = {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap().port()
    };
    let mut command = program();
    command.env("WALLCAST_TOKEN", "eyJ");
    let output = command
        .args(["watch", &format!("ws://127.0.0.1:{port}")])
        .output()
        .unwrap();
    let result = run_result(output);
    assert!(
        result
            .error_line(1)
            .starts_with(&format!("127.0.0.1:{port} cannot be reached"))
    );
}

#[test]
fn watch_without_token_names_the_variable() {
    let result = run_result(program().args(["watch", "localhost"]).output().unwrap());
    assert!(result.error_line(2).contains("WALLCAST_TOKEN"));
}

/// Reads one line from stdout, then closes the pipe.
fn first_line(child: &mut Child) {
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert!(line.contains("connection"), "{line}");
}
