//! Socket.IO over HTTP long-polling, tested packet by packet. See docs/protocol.md#socketio.

use serde_json::{Value, json};

use crate::support::{Api, Daemon, Tablet};

const NAMESPACES: [&str; 4] = ["/", "/ws/lockers", "/ws/help", "/ws/events"];

/// A long-polling client that sends no request by itself.
struct Polling {
    api: Api,
    path: String,
}

impl Polling {
    async fn open(daemon: &Daemon) -> Self {
        let path = "/socket.io/?EIO=4&transport=polling";
        let opened = daemon.unauthenticated().get(path).await.expect(200);
        let handshake: Value = serde_json::from_str(&opened.text[1..]).expect("a handshake");
        Self {
            api: daemon.unauthenticated(),
            path: format!("{path}&sid={}", handshake["sid"].as_str().expect("a sid")),
        }
    }

    async fn send(&self, packets: &[String]) {
        let headers = [("content-type", "text/plain;charset=UTF-8")];
        let body = packets.join("\u{1e}");
        let answer = self
            .api
            .send_text("POST", &self.path, &headers, &body)
            .await;
        answer.expect(200);
    }

    /// Connects to these namespaces and waits for the welcome of each.
    async fn connect(daemon: &Daemon, tablet: &Tablet, namespaces: &[&str]) -> Self {
        let client = Self::open(daemon).await;
        let packets: Vec<_> = namespaces
            .iter()
            .map(|path| connect_packet(path, &tablet.token))
            .collect();
        client.send(&packets).await;
        let mut packets = Vec::new();
        while events(&packets, "connected").len() < namespaces.len() {
            packets.extend(client.poll().await);
        }
        client
    }

    async fn poll(&self) -> Vec<String> {
        let answer = self.api.get(&self.path).await.expect(200);
        answer.text.split('\u{1e}').map(str::to_owned).collect()
    }

    /// Polls until the session has ended and a poll fails. Returns the packets received before.
    async fn rest(&self) -> Vec<String> {
        let mut packets = Vec::new();
        loop {
            let answer = self.api.get(&self.path).await;
            if answer.status != 200 {
                return packets;
            }
            packets.extend(answer.text.split('\u{1e}').map(str::to_owned));
        }
    }
}

fn connect_packet(namespace: &str, token: &str) -> String {
    format!("40{namespace},{}", json!({ "token": token }))
}

fn is_event(packet: &str, event: &str) -> bool {
    packet.starts_with("42") && packet.contains(&format!("[\"{event}\""))
}

fn events<'a>(packets: &'a [String], event: &str) -> Vec<&'a String> {
    packets.iter().filter(|p| is_event(p, event)).collect()
}

fn refusals(packets: &[String], code: &str) -> usize {
    let code = format!("\"code\":\"{code}\"");
    let refused = |p: &&String| p.starts_with("44") && p.contains(&code);
    packets.iter().filter(refused).count()
}

#[tokio::test]
async fn revocation_discards_events_queued_for_the_next_poll() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let kitchen = admin.create_area("Kitchen").await;
    let tablet = daemon.pair("Wall", &[&kitchen]).await;
    let client = Polling::connect(&daemon, &tablet, &["/"]).await;
    let area = format!("/api/areas/{kitchen}");
    admin.put(&area, json!({ "name": "A" })).await.expect(200);
    let packets = client.poll().await;
    assert_eq!(events(&packets, "area_updated").len(), 1, "{packets:?}");
    for n in 0..20 {
        let name = json!({ "name": format!("Kitchen {n}") });
        admin.put(&area, name).await.expect(200);
    }
    let revoke = format!("/api/clients/{}/revoke", tablet.id);
    admin.post(&revoke, json!({})).await.expect(200);
    let packets = client.poll().await;
    let event_types: Vec<_> = packets
        .iter()
        .map(|packet| match packet.as_str() {
            p if is_event(p, "token_revoked") => "token_revoked",
            p if is_event(p, "error") => "error",
            "41" | "41/," => "disconnect",
            "1" => "close",
            other => other,
        })
        .filter(|event_type| *event_type != "close")
        .collect();
    assert_eq!(event_types, ["token_revoked", "error", "disconnect"]);
}

#[tokio::test]
async fn session_limit_counts_connections_and_supersedes_oldest() {
    let daemon = Daemon::with(&[("MAX_SESSIONS_PER_CLIENT", "2")]).await;
    let tablet = daemon.pair("Wall", &[]).await;
    let first = Polling::connect(&daemon, &tablet, &NAMESPACES).await;
    let second = Polling::connect(&daemon, &tablet, &NAMESPACES).await;
    let path = format!("/api/clients/{}", tablet.id);
    let client = daemon.local().get(&path).await.expect(200);
    assert_eq!(client.json["sessions"], 8, "{}", client.text);
    let _third = Polling::connect(&daemon, &tablet, &["/"]).await;
    let packets = first.rest().await;
    let errors = events(&packets, "error");
    let superseded = errors.iter().filter(|e| e.contains("\"superseded\""));
    assert_eq!(superseded.count(), 4, "{packets:?}");
    let disconnects = packets.iter().filter(|p| p.starts_with("41"));
    assert_eq!(disconnects.count(), 4, "{packets:?}");
    second.send(&["42[\"ping\",{}]".to_owned()]).await;
    let packets = second.poll().await;
    assert_eq!(events(&packets, "pong").len(), 1, "{packets:?}");
}

#[tokio::test]
async fn disconnect_of_one_namespace_keeps_the_others() {
    let daemon = Daemon::start().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let client = Polling::connect(&daemon, &tablet, &["/", "/ws/help"]).await;
    let ping = "42/ws/help,[\"ping\",{}]".to_owned();
    client.send(&["41".to_owned(), ping]).await;
    let packets = client.poll().await;
    assert_eq!(events(&packets, "pong").len(), 1, "{packets:?}");
    let path = format!("/api/clients/{}", tablet.id);
    let client = daemon.local().get(&path).await.expect(200);
    assert_eq!(client.json["sessions"], 1);
}

#[tokio::test]
async fn connects_over_rate_limit_are_refused() {
    let daemon = Daemon::with(&[("MESSAGES_PER_SECOND", "1")]).await;
    let client = Polling::open(&daemon).await;
    // The burst is short enough that the connection is not closed for exceeding the rate.
    client
        .send(&vec![connect_packet("/", "no.such.token"); 30])
        .await;
    let mut packets = Vec::new();
    while packets.len() < 30 {
        packets.extend(client.poll().await);
    }
    let (limited, invalid) = (
        refusals(&packets, "rate_limited"),
        refusals(&packets, "invalid_token"),
    );
    assert!(limited > 0 && invalid > 0, "{packets:?}");
    assert_eq!(limited + invalid, 30);
}

#[tokio::test]
async fn ninth_refused_token_closes_connection() {
    let daemon = Daemon::with(&[("MESSAGES_PER_SECOND", "100")]).await;
    let client = Polling::open(&daemon).await;
    let wrong = connect_packet("/", "no.such.token");
    client.send(&vec![wrong.clone(); 8]).await;
    let mut packets = Vec::new();
    while packets.len() < 8 {
        packets.extend(client.poll().await);
    }
    assert_eq!(refusals(&packets, "invalid_token"), 8, "{packets:?}");
    client.send(&[wrong]).await;
    // `rest` returns only when the session has ended.
    client.rest().await;
}

#[tokio::test]
async fn token_in_url_is_refused_even_with_sid() {
    let daemon = Daemon::start().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let client = Polling::connect(&daemon, &tablet, &["/"]).await;
    let with_token = format!("{}&token={}", client.path, tablet.token);
    client.api.get(&with_token).await.refused(401);
    let headers = [("content-type", "text/plain;charset=UTF-8")];
    let posted = client
        .api
        .send_text("POST", &with_token, &headers, "2")
        .await;
    posted.refused(401);
}
