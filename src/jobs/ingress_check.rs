//! Checks every minute whether the admins of open ingress sessions are still administrators of Home Assistant.

use std::sync::Arc;
use std::time::Duration;

use crate::app::App;
use crate::authentication::{FRESH, Verdict};
use wallcast_core::auth::Subject;
use wallcast_core::disconnect::DisconnectReason;
use wallcast_core::hub::Session;

/// Sessions that are looked at in one go.
const PAGE: usize = 500;
/// How often open sessions are checked again.
const REPEAT: Duration = Duration::from_secs(60);
/// Checks the admins of open sessions again, every minute and whenever Home Assistant is back, for as
/// long as the daemon runs.
pub(crate) async fn run(app: Arc<App>) {
    if !app.ingress.verify_admin || !app.home.is_configured() {
        return;
    }
    let mut connections = app.home.connections();
    let mut beat = tokio::time::interval(REPEAT);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = beat.tick() => {}
            connection = connections.next() => match connection {
                Some(_) => {}
                None => return,
            },
            () = app.shutdown.begun() => return,
        }
        check_sessions(&app).await;
    }
}

async fn check_sessions(app: &App) {
    // One answer for all of them, asked for now: an older one is what let them in.
    let mut fresh = Duration::ZERO;
    let mut after = None;
    loop {
        let page = app.hub.page(None, after, PAGE);
        let Some(last) = page.last() else { return };
        after = Some(last.number());
        for session in page.iter().filter(|session| is_of_ingress(session)) {
            let verdict = app.ingress.verdict(session.subject().id(), fresh).await;
            fresh = FRESH;
            match verdict {
                Verdict::Admin => {}
                Verdict::Other => session.end(DisconnectReason::Revoked, None),
                // It may come back, and is let in once somebody can say who it is.
                Verdict::Unknown => session.end(DisconnectReason::TryAgain, None),
            }
        }
    }
}

/// Whoever comes without a token comes by ingress, or by the command line's socket, which has no
/// address.
fn is_of_ingress(session: &Session) -> bool {
    matches!(session.subject(), Subject::Admin(_))
        && session.principal().jti.is_none()
        && session.address().is_some()
}
