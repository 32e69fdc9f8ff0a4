//! `GET /api/audit`: the audit log, newest entry first.

use std::sync::Arc;

use serde_json::json;
use wallcast_core::audit::{self, Entry};

use crate::app::App;
use crate::http::{ApiError, Reply, Request, page};

pub(crate) async fn list(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let limit = request.limit()?;
    let before: Option<i64> = page::cursor(&request)?;
    let entries = app
        .store
        .read(move |db| Ok::<_, ApiError>(audit::page(db, before, limit + 1)?))
        .await?;
    Ok(page::reply(
        "entries",
        entries,
        limit,
        |entry| entry.id,
        |entry: Entry| {
            json!({
                "id": entry.id,
                "timestamp": entry.at,
                "actor": entry.actor,
                "action": entry.action,
                "target": entry.target,
                "address": entry.address,
                "detail": entry.detail,
            })
        },
    ))
}
