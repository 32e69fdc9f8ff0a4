//! How many TCP connections may be open, and what goes on when no more may (contract section 2).

use std::net::{IpAddr, SocketAddr};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{Daemon, soon, until};

/// A daemon that a shell has limited first, with a plain listener on every address.
async fn daemon_after(limit: &str, options: &[(&str, &str)]) -> (Daemon, u16) {
    let mut all = vec![
        ("PLAIN_LISTEN", "0.0.0.0:0"),
        ("PLAIN_ALLOW_REMOTE", "true"),
    ];
    all.extend(options);
    let daemon = Daemon::with_shell_setup(limit, &all).await;
    let port = daemon.plain.expect("the ready line names it").port();
    (daemon, port)
}

/// Opens connections that say nothing, until this many of them were closed; gives the others.
async fn open_and_lose(address: SocketAddr, open: usize, lost: usize) -> Vec<TcpStream> {
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
    let mut closed = Vec::new();
    for _ in 0..lost {
        closed.push(soon("an end", ends.next()).await.unwrap());
    }
    drop(ends);
    let kept = streams.into_iter().enumerate();
    kept.filter(|(n, _)| !closed.contains(n))
        .map(|(_, stream)| stream)
        .collect()
}

/// Asks on a connection of its own and keeps it; none if it was closed instead.
async fn ask(address: SocketAddr, head: &str) -> Option<(TcpStream, String)> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    let request = format!("GET {head}\r\nhost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.ok()?;
    Some((stream, String::from_utf8_lossy(&answer).into_owned()))
}

#[tokio::test]
async fn connections_never_take_what_the_store_and_the_command_line_need() {
    let (daemon, port) = daemon_after("ulimit -n 200", &[]).await;
    let address = ([127, 0, 0, 1], port).into();
    let kept = open_and_lose(address, 150, 50).await;
    assert!(ask(address, "/health HTTP/1.1").await.is_none());
    daemon.local().create_area("Kitchen").await;
    assert!(daemon.cli(&["health"]).await.status.success());
    assert!(daemon.log().matches("too many connections").count() <= 1);

    drop(kept);
    until("a place", async || ask(address, "/health HTTP/1.1").await).await;
}

#[tokio::test]
async fn the_limit_of_open_files_is_raised_as_far_as_max_connections_needs() {
    let (daemon, _) = daemon_after("ulimit -Sn 150", &[("MAX_CONNECTIONS", "7")]).await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", daemon.pid())).unwrap();
    let files = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let mut numbers = files.unwrap().split_whitespace().skip(3);
    let soft: u64 = numbers.next().unwrap().parse().unwrap();
    let hard: u64 = numbers.next().unwrap().parse().unwrap();
    assert!(soft >= hard.min(1000) && soft < 5000, "{soft} of {hard}");
}

/// An address of this machine by which it is a stranger to itself.
fn outside() -> Option<IpAddr> {
    let interfaces = if_addrs::get_if_addrs().ok()?;
    let mut addresses = interfaces.iter().map(if_addrs::Interface::ip);
    addresses.find(|address| address.is_ipv4() && !address.is_loopback())
}

#[tokio::test]
async fn one_stranger_never_takes_all_places_and_who_proves_a_token_is_none() {
    // Where there is no such address, the test of `seats` itself has to do.
    let Some(outside) = outside() else { return };
    let (daemon, port) = daemon_after("ulimit -n 200", &[]).await;
    let address = (outside, port).into();
    let tablet = daemon.pair("Wall", &[]).await;
    let head = format!("/api/me HTTP/1.1\r\nauthorization: Bearer {}", tablet.token);
    let mut proven = Vec::new();
    for _ in 0..20 {
        let (stream, answer) = ask(address, &head).await.expect("an answer");
        assert_eq!(answer, "HTTP/1.1 200");
        proven.push(stream);
    }
    let mut kept = open_and_lose(address, 60, 10).await;
    assert!(ask(address, &head).await.is_none());
    let inside = ([127, 0, 0, 1], port).into();
    ask(inside, "/health HTTP/1.1").await.expect("an answer");

    kept.pop();
    let socket = "/ws HTTP/1.1\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
        sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==";
    let mut sockets = Vec::new();
    for _ in 0..3 {
        let (stream, answer) = until("a place", async || ask(address, socket).await).await;
        assert_eq!(answer, "HTTP/1.1 101");
        sockets.push(stream);
    }
}
