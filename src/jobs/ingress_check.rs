//! Ends ingress sessions of users who are no longer administrators of Home Assistant. Checks every minute and when
//! Home Assistant is connected again.

use std::sync::Arc;
use std::time::Duration;

use wallcast_core::auth::Subject;
use wallcast_core::disconnect::DisconnectReason;
use wallcast_core::hub::Session;

use crate::app::App;
use crate::authentication::{ADMIN_LIST_MAX_AGE, Verdict};

/// Sessions that are read from the hub at once.
const PAGE: usize = 500;
const INTERVAL: Duration = Duration::from_secs(60);

/// Runs until shutdown.
pub(crate) async fn run(app: Arc<App>) {
    if !app.ingress.verify_admin || !app.home.is_configured() {
        return;
    }
    let mut connections = app.home.connections();
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
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
    // The first session queries Home Assistant again; the others use the same list.
    let mut max_age = Duration::ZERO;
    let mut after = None;
    loop {
        let page = app.hub.page(None, after, PAGE);
        let Some(last) = page.last() else { return };
        after = Some(last.number());
        for session in page.iter().filter(|session| is_from_ingress(session)) {
            let verdict = app.ingress.verdict(session.subject().id(), max_age).await;
            max_age = ADMIN_LIST_MAX_AGE;
            match verdict {
                Verdict::Admin => {}
                Verdict::Other => session.end(DisconnectReason::Revoked, None),
                // It may reconnect, and is accepted once Home Assistant can be queried.
                Verdict::Unknown => session.end(DisconnectReason::TryAgain, None),
            }
        }
    }
}

/// Sessions without a token come from ingress or from the command line's socket; the latter have no address.
fn is_from_ingress(session: &Session) -> bool {
    matches!(session.subject(), Subject::Admin(_))
        && session.principal().jti.is_none()
        && session.address().is_some()
}
