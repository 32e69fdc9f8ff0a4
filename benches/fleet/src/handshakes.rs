//! What it costs a server that tablets come back: by a full handshake, and by one that a ticket
//! resumes. The upgrade, the proof of a token and the first words are part of each.

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
/// How long a server is left alone after all its tablets went.
const SETTLING: Duration = Duration::from_millis(500);
const SUBJECTS: [Subject; 3] = [
    Subject::Limit,
    Subject::WallcastJson,
    Subject::WallcastSocketIo,
];

/// Measures and says it in words: medians of so many rounds.
pub async fn measure(programs: &Path) -> Outcome<String> {
    let mut text = "| server | full µs | resumed µs |\n| --- | --- | --- |\n".to_owned();
    for subject in SUBJECTS {
        let server = Server::start(subject, programs).await?;
        let tokens = server.tokens(TABLETS, None).await?;
        let full = vec![http::tls(None); TABLETS];
        let own: Vec<_> = (0..TABLETS).map(|_| http::tls(Some(1))).collect();
        // Tokens are used for the first time, and tickets are given.
        let fleet = Fleet {
            server: &server,
            subject,
            tokens,
        };
        fleet.come(&own, HandshakeKind::Full).await?;
        let (mut fulls, mut resumed) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            fulls.push(fleet.come(&full, HandshakeKind::Full).await?);
            resumed.push(fleet.come(&own, HandshakeKind::Resumed).await?);
        }
        let (full, resumed) = (table::middle(fulls), table::middle(resumed));
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
    /// All tablets come, each by a handshake of this kind, and go again; the cost of coming, in µs.
    async fn come(&self, tls: &[Arc<ClientConfig>], kind: HandshakeKind) -> Outcome<f64> {
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
                opening.spawn(async move { tablet::enter(&tls, address, dialect, token).await });
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
        sleep(SETTLING).await;
        Ok(cost)
    }
}
