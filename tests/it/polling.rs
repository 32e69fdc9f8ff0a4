//! Socket.IO by HTTP long-polling, packet by packet (contract 4.1).

use serde_json::{Value, json};

use crate::support::{Api, Daemon, Tablet};

const NAMESPACES: [&str; 4] = ["/", "/ws/lockers", "/ws/help", "/ws/events"];

/// A client that polls only when it is told to.
struct Polling {
    api: Api,
    path: String,
}

impl Polling {
    async fn open(daemon: &Daemon) -> Self {
        let path = "/socket.io/?EIO=4&transport=polling";
        let opened = daemon.unauthenticated().get(path).await.expect(200);
        let words: Value = serde_json::from_str(&opened.text[1..]).expect("the handshake");
        Self {
            api: daemon.unauthenticated(),
            path: format!("{path}&sid={}", words["sid"].as_str().expect("a sid")),
        }
    }

    async fn send(&self, packets: &[String]) {
        let kind = [("content-type", "text/plain;charset=UTF-8")];
        let body = packets.join("\u{1e}");
        let answer = self.api.send_text("POST", &self.path, &kind, &body).await;
        answer.expect(200);
    }

    /// Enters these namespaces and waits for the first words of each.
    async fn enter(daemon: &Daemon, tablet: &Tablet, namespaces: &[&str]) -> Self {
        let client = Self::open(daemon).await;
        let packets: Vec<_> = namespaces
            .iter()
            .map(|path| connect(path, &tablet.token))
            .collect();
        client.send(&packets).await;
        let mut heard = Vec::new();
        while events(&heard, "connected").len() < namespaces.len() {
            heard.extend(client.poll().await);
        }
        client
    }

    async fn poll(&self) -> Vec<String> {
        let answer = self.api.get(&self.path).await.expect(200);
        answer.text.split('\u{1e}').map(str::to_owned).collect()
    }

    /// Polls until the session is over; what came until then.
    async fn rest(&self) -> Vec<String> {
        let mut heard = Vec::new();
        loop {
            let answer = self.api.get(&self.path).await;
            if answer.status != 200 {
                return heard;
            }
            heard.extend(answer.text.split('\u{1e}').map(str::to_owned));
        }
    }
}

fn connect(namespace: &str, token: &str) -> String {
    format!("40{namespace},{}", json!({ "token": token }))
}

fn names(packet: &str, event: &str) -> bool {
    packet.starts_with("42") && packet.contains(&format!("[\"{event}\""))
}

fn events<'a>(packets: &'a [String], event: &str) -> Vec<&'a String> {
    packets.iter().filter(|p| names(p, event)).collect()
}

fn refusals(packets: &[String], code: &str) -> usize {
    let code = format!("\"code\":\"{code}\"");
    let refused = |p: &&String| p.starts_with("44") && p.contains(&code);
    packets.iter().filter(refused).count()
}

#[tokio::test]
async fn what_waited_for_a_poll_is_taken_back_when_the_client_is_revoked() {
    let daemon = Daemon::start().await;
    let admin = daemon.admin().await;
    let kitchen = admin.create_area("Kitchen").await;
    let tablet = daemon.pair("Wall", &[&kitchen]).await;
    let client = Polling::enter(&daemon, &tablet, &["/"]).await;
    let area = format!("/api/areas/{kitchen}");
    admin.put(&area, json!({ "name": "A" })).await.expect(200);
    let heard = client.poll().await;
    assert_eq!(events(&heard, "area_updated").len(), 1, "{heard:?}");
    for n in 0..20 {
        let name = json!({ "name": format!("Kitchen {n}") });
        admin.put(&area, name).await.expect(200);
    }
    let revoke = format!("/api/clients/{}/revoke", tablet.id);
    admin.post(&revoke, json!({})).await.expect(200);
    let heard = client.poll().await;
    let kinds: Vec<_> = heard
        .iter()
        .map(|packet| match packet.as_str() {
            p if names(p, "token_revoked") => "token_revoked",
            p if names(p, "error") => "error",
            "41" | "41/," => "disconnect",
            "1" => "close",
            other => other,
        })
        .filter(|kind| *kind != "close")
        .collect();
    assert_eq!(kinds, ["token_revoked", "error", "disconnect"]);
}

#[tokio::test]
async fn a_connection_counts_once_with_all_its_namespaces_and_the_oldest_hears_superseded() {
    let daemon = Daemon::with(&[("MAX_SESSIONS_PER_CLIENT", "2")]).await;
    let tablet = daemon.pair("Wall", &[]).await;
    let first = Polling::enter(&daemon, &tablet, &NAMESPACES).await;
    let second = Polling::enter(&daemon, &tablet, &NAMESPACES).await;
    let client = format!("/api/clients/{}", tablet.id);
    let client = daemon.local().get(&client).await.expect(200);
    assert_eq!(client.json["sessions"], 8, "{}", client.text);
    let _third = Polling::enter(&daemon, &tablet, &["/"]).await;
    let heard = first.rest().await;
    let errors = events(&heard, "error");
    let told = errors.iter().filter(|e| e.contains("\"superseded\""));
    assert_eq!(told.count(), 4, "{heard:?}");
    let parted = heard.iter().filter(|p| p.starts_with("41"));
    assert_eq!(parted.count(), 4, "{heard:?}");
    second.send(&["42[\"ping\",{}]".to_owned()]).await;
    let heard = second.poll().await;
    assert_eq!(events(&heard, "pong").len(), 1, "{heard:?}");
}

#[tokio::test]
async fn disconnect_of_one_namespace_leaves_the_others() {
    let daemon = Daemon::start().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let client = Polling::enter(&daemon, &tablet, &["/", "/ws/help"]).await;
    let ping = "42/ws/help,[\"ping\",{}]".to_owned();
    client.send(&["41".to_owned(), ping]).await;
    let heard = client.poll().await;
    assert_eq!(events(&heard, "pong").len(), 1, "{heard:?}");
    let client = format!("/api/clients/{}", tablet.id);
    let client = daemon.local().get(&client).await.expect(200);
    assert_eq!(client.json["sessions"], 1);
}

#[tokio::test]
async fn connects_over_the_rate_are_told_so_and_not_acted_on() {
    let daemon = Daemon::with(&[("MESSAGES_PER_SECOND", "1")]).await;
    let client = Polling::open(&daemon).await;
    // Too few are within the rate to have the connection closed.
    client.send(&vec![connect("/", "no.such.token"); 30]).await;
    let mut heard = Vec::new();
    while heard.len() < 30 {
        heard.extend(client.poll().await);
    }
    let (limited, invalid) = (
        refusals(&heard, "rate_limited"),
        refusals(&heard, "invalid_token"),
    );
    assert!(limited > 0 && invalid > 0, "{heard:?}");
    assert_eq!(limited + invalid, 30);
}

#[tokio::test]
async fn after_eight_refused_tokens_a_ninth_closes_the_connection() {
    let daemon = Daemon::with(&[("MESSAGES_PER_SECOND", "100")]).await;
    let client = Polling::open(&daemon).await;
    let wrong = connect("/", "no.such.token");
    client.send(&vec![wrong.clone(); 8]).await;
    let mut heard = Vec::new();
    while heard.len() < 8 {
        heard.extend(client.poll().await);
    }
    assert_eq!(refusals(&heard, "invalid_token"), 8, "{heard:?}");
    client.send(&[wrong]).await;
    // It comes to an end.
    client.rest().await;
}

#[tokio::test]
async fn a_token_in_the_url_is_refused_beside_a_sid_as_well() {
    let daemon = Daemon::start().await;
    let tablet = daemon.pair("Wall", &[]).await;
    let client = Polling::enter(&daemon, &tablet, &["/"]).await;
    let with_token = format!("{}&token={}", client.path, tablet.token);
    client.api.get(&with_token).await.refused(401);
    let kind = [("content-type", "text/plain;charset=UTF-8")];
    let posted = client.api.send_text("POST", &with_token, &kind, "2").await;
    posted.refused(401);
}
