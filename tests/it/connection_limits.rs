//! Limits on open TCP connections, in total and from one unauthenticated address, and what keeps
//! working when they are reached. See docs/protocol.md#listeners.

use std::net::{IpAddr, SocketAddr};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{Daemon, soon, until};

/// Starts a daemon from a shell that has run this `ulimit` command. Returns it with the port of its
/// plain HTTP listener, which is open on every address.
async fn start_with_ulimit(ulimit: &str, options: &[(&str, &str)]) -> (Daemon, u16) {
    let mut all = vec![
        ("PLAIN_LISTEN", "0.0.0.0:0"),
        ("PLAIN_ALLOW_REMOTE", "true"),
    ];
    all.extend(options);
    let daemon = Daemon::with_shell_setup(ulimit, &all).await;
    let port = daemon
        .plain
        .expect("a plain address in the ready line")
        .port();
    (daemon, port)
}

/// Opens `open` idle connections and waits until the daemon has closed `closed` of them. Returns
/// the others.
async fn open_idle(address: SocketAddr, open: usize, closed: usize) -> Vec<TcpStream> {
    let mut streams = Vec::new();
    for _ in 0..open {
        streams.push(TcpStream::connect(address).await.expect("a connection"));
    }
    let mut ends: FuturesUnordered<_> = streams
        .iter()
        .enumerate()
        .map(|(n, stream)| async move {
            let _ = stream.readable().await;
            n
        })
        .collect();
    let mut closed_indexes = Vec::new();
    for _ in 0..closed {
        closed_indexes.push(soon("a closed connection", ends.next()).await.unwrap());
    }
    drop(ends);
    let streams = streams.into_iter().enumerate();
    streams
        .filter(|(n, _)| !closed_indexes.contains(n))
        .map(|(_, stream)| stream)
        .collect()
}

/// Sends a GET on a new connection. Returns the open connection and the start of the status line,
/// or `None` if the daemon closed the connection instead.
async fn get(address: SocketAddr, head: &str) -> Option<(TcpStream, String)> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    let request = format!("GET {head}\r\nhost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.ok()?;
    Some((stream, String::from_utf8_lossy(&answer).into_owned()))
}

#[tokio::test]
async fn open_connections_leave_file_descriptors_for_store_and_cli() {
    let (daemon, port) = start_with_ulimit("ulimit -n 200", &[]).await;
    let address = ([127, 0, 0, 1], port).into();
    let idle = open_idle(address, 150, 50).await;
    assert!(get(address, "/health HTTP/1.1").await.is_none());
    daemon.local().create_area("Kitchen").await;
    assert!(daemon.cli(&["health"]).await.status.success());
    assert!(daemon.log().matches("too many connections").count() <= 1);

    drop(idle);
    until("a free connection slot", async || {
        get(address, "/health HTTP/1.1").await
    })
    .await;
}

#[tokio::test]
async fn open_file_limit_is_raised_for_max_connections() {
    let (daemon, _) = start_with_ulimit("ulimit -Sn 150", &[("MAX_CONNECTIONS", "7")]).await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", daemon.pid())).unwrap();
    let files = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let mut numbers = files.unwrap().split_whitespace().skip(3);
    let soft: u64 = numbers.next().unwrap().parse().unwrap();
    let hard: u64 = numbers.next().unwrap().parse().unwrap();
    assert!(soft >= hard.min(1000) && soft < 5000, "{soft} of {hard}");
}

/// An IPv4 address of this machine other than loopback. Limits per address apply to it, but not to
/// loopback.
fn non_loopback_address() -> Option<IpAddr> {
    let interfaces = if_addrs::get_if_addrs().ok()?;
    let mut addresses = interfaces.iter().map(if_addrs::Interface::ip);
    addresses.find(|address| address.is_ipv4() && !address.is_loopback())
}

#[tokio::test]
async fn unauthenticated_address_cannot_use_all_connection_slots() {
    // Without such an address only the unit tests cover this limit.
    let Some(non_loopback) = non_loopback_address() else {
        return;
    };
    let (daemon, port) = start_with_ulimit("ulimit -n 200", &[]).await;
    let address = (non_loopback, port).into();
    let tablet = daemon.pair("Wall", &[]).await;
    let head = format!("/api/me HTTP/1.1\r\nauthorization: Bearer {}", tablet.token);
    let mut authenticated = Vec::new();
    for _ in 0..20 {
        let (stream, answer) = get(address, &head).await.expect("an answer");
        assert_eq!(answer, "HTTP/1.1 200");
        authenticated.push(stream);
    }
    let mut idle = open_idle(address, 60, 10).await;
    assert!(get(address, &head).await.is_none());
    let loopback = ([127, 0, 0, 1], port).into();
    get(loopback, "/health HTTP/1.1").await.expect("an answer");

    idle.pop();
    let socket = "/ws HTTP/1.1\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
        sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==";
    let mut sockets = Vec::new();
    for _ in 0..3 {
        let (stream, answer) = until("a free connection slot", async || {
            get(address, socket).await
        })
        .await;
        assert_eq!(answer, "HTTP/1.1 101");
        sockets.push(stream);
    }
}
