//! Measures the cost of a reconnect, with a full TLS handshake and with one that a session ticket resumes. Both
//! include the WebSocket upgrade, the check of the token and the welcome.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConfig, HandshakeKind};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::Outcome;
use crate::round::per;
use crate::subject::{Server, Subject};
use crate::tablet::{self, OPENING, Socket};
use crate::{http, table};

const TABLETS: usize = 200;
const ROUNDS: usize = 10;
/// The pause after all tablets have disconnected.
const SETTLE_TIME: Duration = Duration::from_millis(500);
const SUBJECTS: [Subject; 3] = [
    Subject::Limit,
    Subject::WallcastJson,
    Subject::WallcastSocketIo,
];

/// Measures, and returns the medians of all rounds as Markdown.
pub async fn measure(programs: &Path) -> Outcome<String> {
    let mut text = "| server | full µs | resumed µs |\n| --- | --- | --- |\n".to_owned();
    for subject in SUBJECTS {
        let server = Server::start(subject, programs).await?;
        let tokens = server.tokens(TABLETS, None).await?;
        let full = vec![http::tls(None); TABLETS];
        let own: Vec<_> = (0..TABLETS).map(|_| http::tls(Some(1))).collect();
        // The first connections use each token for the first time, and receive session tickets.
        let fleet = Fleet {
            server: &server,
            subject,
            tokens,
        };
        fleet.connect_all(&own, HandshakeKind::Full).await?;
        let (mut fulls, mut resumed) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            fulls.push(fleet.connect_all(&full, HandshakeKind::Full).await?);
            resumed.push(fleet.connect_all(&own, HandshakeKind::Resumed).await?);
        }
        let (full, resumed) = (table::median(fulls), table::median(resumed));
        text.push_str(&format!("| {subject} | {full:.1} | {resumed:.1} |\n"));
    }
    Ok(text)
}

struct Fleet<'a> {
    server: &'a Server,
    subject: Subject,
    tokens: Vec<Option<String>>,
}

impl Fleet<'_> {
    /// Connects all tablets with a handshake of this kind, and disconnects them. Returns the cost of a connection in
    /// µs.
    async fn connect_all(&self, tls: &[Arc<ClientConfig>], kind: HandshakeKind) -> Outcome<f64> {
        let mut sockets = Vec::new();
        let cost = per(TABLETS, &self.server.process, async {
            let mut opening = JoinSet::new();
            for (tls, token) in tls.iter().zip(&self.tokens) {
                if opening.len() >= OPENING
                    && let Some(opened) = opening.join_next().await
                {
                    sockets.push(opened??);
                }
                let (tls, token) = (tls.clone(), token.clone());
                let (address, dialect) = (self.server.address, self.subject.dialect());
                opening.spawn(async move {
                    tablet::connect_session(&tls, address, dialect, token).await
                });
            }
            while let Some(opened) = opening.join_next().await {
                sockets.push(opened??);
            }
            Ok(())
        });
        let cost = cost.await?;
        let is_kind = |socket: &Socket| socket.get_ref().get_ref().1.handshake_kind() == Some(kind);
        if !sockets.iter().all(is_kind) {
            return Err(format!("{}: not every handshake was {kind:?}", self.subject).into());
        }
        drop(sockets);
        sleep(SETTLE_TIME).await;
        Ok(cost)
    }
}
