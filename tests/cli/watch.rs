//! `watch` against a small server with a certificate of its own.

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

use crate::program::{Ended, ended, program, wallcast_told};

/// What the server does with one connection.
#[derive(Clone)]
enum Act {
    /// Refuses the handshake.
    Refuse(u16),
    /// Sends these frames, then closes with code and reason.
    Close(Vec<&'static str>, u16, &'static str),
    /// Sends these frames, then goes away without a word.
    Drop(Vec<&'static str>),
    /// Sends these frames and stays until the client leaves.
    Stay(Vec<&'static str>),
}

struct Server {
    address: SocketAddr,
    folder: tempfile::TempDir,
    /// Path and `Authorization` of each handshake.
    seen: Arc<Mutex<Vec<(String, String)>>>,
    _runtime: Runtime,
}

const HELLO: &str = r#"{"type":"connection","data":{"epoch":"e1","lastEventId":4},"timestamp":"2026-01-01T00:00:00.000Z"}"#;
const AREA: &str = r#"{"type":"area_enabled","id":5,"data":{"areaId":"area_1"},"timestamp":"2026-01-01T00:00:01.000Z"}"#;

impl Server {
    /// Serves one act a connection, in order; the last one is repeated.
    fn start(names: &[&str], acts: Vec<Act>) -> Self {
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
        let seen: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
        runtime.spawn(serve(listener, acceptor, acts, Arc::clone(&seen)));
        Self {
            address,
            folder,
            seen,
            _runtime: runtime,
        }
    }

    fn url(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `watch` as it should be called here.
    fn command(&self) -> Command {
        let mut command = program();
        command.arg("watch").arg(self.url());
        command.arg("--ca").arg(self.file("ca.crt"));
        command.arg("--token-file").arg(self.file("token"));
        command
    }

    fn watch(&self) -> Ended {
        ended(self.command().output().unwrap())
    }

    fn seen(&self) -> Vec<(String, String)> {
        self.seen.lock().unwrap().clone()
    }
}

async fn serve(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    acts: Vec<Act>,
    seen: Arc<Mutex<Vec<(String, String)>>>,
) {
    let mut next = acts.into_iter();
    let mut act = Act::Refuse(500);
    loop {
        let (tcp, _) = listener.accept().await.unwrap();
        // A client that does not trust the certificate leaves here.
        let Ok(tls) = acceptor.accept(tcp).await else {
            continue;
        };
        act = next.next().unwrap_or(act);
        let seen = Arc::clone(&seen);
        let now = act.clone();
        #[allow(
            clippy::result_large_err,
            reason = "the callback's type is the library's"
        )]
        let check = move |request: &Request, response: Response| {
            let token = request.headers()["authorization"]
                .to_str()
                .unwrap()
                .to_owned();
            seen.lock()
                .unwrap()
                .push((request.uri().to_string(), token));
            match now {
                Act::Refuse(status) => {
                    let text = r#"{"success":false,"error":"said the server"}"#;
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
        let (Act::Close(frames, ..) | Act::Drop(frames) | Act::Stay(frames)) = &act else {
            continue;
        };
        for frame in frames {
            socket.send(Message::text(*frame)).await.unwrap();
        }
        match &act {
            Act::Close(_, code, reason) => {
                let frame = CloseFrame {
                    code: (*code).into(),
                    reason: (*reason).into(),
                };
                socket.close(Some(frame)).await.unwrap();
                while let Some(Ok(_)) = socket.next().await {}
            }
            Act::Stay(_) => while let Some(Ok(_)) = socket.next().await {},
            _ => {}
        }
    }
}

#[test]
fn prints_one_line_an_event_and_ends_by_the_close_reason() {
    let server = Server::start(
        &["localhost"],
        vec![Act::Close(vec![HELLO, AREA], 4403, "revoked")],
    );
    let ended = server.watch();
    assert_eq!(ended.code, Some(1));
    let lines: Vec<&str> = ended.stdout.lines().collect();
    assert_eq!(lines.len(), 2, "{ended:?}");
    assert_eq!(
        lines[1],
        r#"2026-01-01T00:00:01.000Z  area_enabled            {"areaId":"area_1"}"#
    );
    let last = ended.stderr.lines().last().unwrap();
    assert_eq!(
        last,
        "wallcast: closed by the server: revoked (4403): the token was revoked; use a new one"
    );
    assert!(!ended.stderr.contains("eyJ") && !ended.stdout.contains("eyJ"));
    assert_eq!(
        server.seen(),
        [("/ws".to_owned(), "Bearer eyJ.secret".to_owned())]
    );
}

#[test]
fn json_prints_frames_as_they_came() {
    let server = Server::start(
        &["localhost"],
        vec![Act::Close(vec![HELLO, AREA], 4410, "inactive")],
    );
    let output = server.command().arg("--json").output().unwrap();
    assert_eq!(ended(output).stdout, format!("{HELLO}\n{AREA}\n"));
}

#[test]
fn comes_back_after_a_drop_and_resumes() {
    let acts = vec![
        Act::Drop(vec![HELLO, AREA]),
        Act::Close(vec![], 4000, "try_again"),
        Act::Refuse(503),
        Act::Close(vec![], 4401, "unauthenticated"),
    ];
    let server = Server::start(&["localhost"], acts);
    let ended = server.watch();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let paths: Vec<String> = server.seen().into_iter().map(|(path, _)| path).collect();
    let resumed = "/ws?since=5&epoch=e1";
    assert_eq!(paths, ["/ws", resumed, resumed, resumed], "{ended:?}");
    assert!(
        ended
            .stderr
            .contains("closed by the server: try_again (4000); trying again in "),
        "{ended:?}"
    );
}

#[test]
fn a_refused_handshake_ends_it() {
    for (status, part) in [
        (401, "the token is not accepted (401"),
        (403, "this token may not listen there (403"),
        (
            429,
            "too many connections from this address; wait a minute (429",
        ),
    ] {
        let server = Server::start(&["localhost"], vec![Act::Refuse(status)]);
        let ended = server.watch();
        assert!(ended.refused(1).contains(part), "{ended:?}");
        assert_eq!(server.seen().len(), 1);
    }
}

#[test]
fn an_unknown_certificate_is_never_shown_the_token() {
    let server = Server::start(&["localhost"], vec![Act::Stay(vec![])]);
    let mut command = program();
    command
        .args(["watch", &server.url()])
        .env("WALLCAST_TOKEN", "eyJ.secret");
    let ended = ended(command.output().unwrap());
    let line = ended.refused(1);
    let fetch = format!("curl -k https://localhost:{}/ca.crt", server.address.port());
    assert!(line.contains(&fetch) && line.contains("--ca "), "{line}");
    assert!(server.seen().is_empty());
}

#[test]
fn a_certificate_for_other_names_is_said_so() {
    let server = Server::start(&["panel.local"], vec![Act::Stay(vec![])]);
    let ended = server.watch();
    assert!(ended.refused(1).contains("is for other names"), "{ended:?}");
    assert!(server.seen().is_empty());
}

#[test]
fn the_token_may_come_from_standard_input() {
    let server = Server::start(&["localhost"], vec![Act::Close(vec![], 4409, "superseded")]);
    let mut command = program();
    command.args(["watch", &server.url(), "--token-file", "-", "--ca"]);
    command.arg(server.file("ca.crt"));
    let ended = wallcast_told(&mut command, "eyJ.piped\n");
    assert!(ended.stderr.contains("superseded"), "{ended:?}");
    assert_eq!(server.seen()[0].1, "Bearer eyJ.piped");
}

#[test]
fn interrupted_is_ended_well() {
    let server = Server::start(&["localhost"], vec![Act::Stay(vec![HELLO])]);
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
fn a_reader_that_leaves_ends_it_well() {
    let server = Server::start(
        &["localhost"],
        vec![Act::Drop(vec![HELLO]), Act::Stay(vec![HELLO, AREA])],
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
fn nobody_there_ends_the_first_attempt() {
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
    let ended = ended(output);
    assert!(
        ended
            .refused(1)
            .starts_with(&format!("127.0.0.1:{port} cannot be reached"))
    );
}

#[test]
fn without_a_token_it_says_where_to_put_one() {
    let ended = ended(program().args(["watch", "localhost"]).output().unwrap());
    assert!(ended.refused(2).contains("WALLCAST_TOKEN"));
}

/// Reads one line, then closes our end of the pipe.
fn first_line(child: &mut Child) {
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert!(line.contains("connection"), "{line}");
}
