//! `/api/messages` and `/api/conversations` (contract 6.5).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::app::App;
use crate::http::{ApiError, Fields, Reply, Request, page};
use crate::messages::{
    Asking, Draft, Message, MessageError, Party, Seen, Status, TTL, counts, receipts, rows, wire,
};
use wallcast_core::auth::Subject;
use wallcast_core::clock::Timestamp;
use wallcast_core::ids::{ConversationId, MessageId};

impl From<MessageError> for ApiError {
    fn from(error: MessageError) -> Self {
        match error {
            MessageError::Forbidden => Self::forbidden(),
            MessageError::Unknown(what) => Self::not_found(what),
            MessageError::Field(field, text) => Self::field(field, text),
            MessageError::Store(error) => error.into(),
        }
    }
}

/// `GET /api/messages`: what the caller wrote or got, newest first; every message for admins.
pub(crate) async fn list(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let party = party(&request)?;
    let limit = request.limit()?;
    let before: i64 = page::cursor(&request)?.unwrap_or(i64::MAX);
    let messages = app
        .store
        .read(move |db| {
            let now = Timestamp::now();
            Ok::<_, ApiError>(rows::page(db, &party, now, before, limit + 1)?)
        })
        .await?;
    Ok(shown(messages, limit))
}

/// `POST /api/messages` `{to, platform?, body, level?, ttlSeconds?}`, or `conversationId` instead of
/// `to` and `platform`; an admin may bring somebody else's message with `from`. 201 with the message.
pub(crate) async fn send(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let asking = asking(&request)?;
    let draft = draft(&mut request.fields()?)?;
    let is_to_all = Arc::new(AtomicBool::new(false));
    let noted = is_to_all.clone();
    let answer = request
        .write(&app.store, move |tx| {
            let message = crate::messages::send(tx, &asking, draft)?;
            noted.store(message.is_to_all(), Ordering::Relaxed);
            Ok::<_, ApiError>(Reply::created(&wire::message(&message)))
        })
        .await?;
    app.expiry.look_again();
    if is_to_all.load(Ordering::Relaxed)
        && let Err(error) = counts::tell_everyone(&app.store, &app.hub).await
    {
        tracing::warn!(%error, "unread counts could not be told");
    }
    Ok(answer)
}

/// `PATCH /api/messages/{id}` `{status}`: its recipient, or an admin for it.
pub(crate) async fn change(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let asking = asking(&request)?;
    let status: Status = request.fields()?.required("status")?;
    let id: MessageId = request
        .parameter("id")
        .parse()
        .map_err(|_| asking.without("message"))?;
    request
        .write(&app.store, move |tx| {
            let message = crate::messages::set_status(tx, &asking, &id, status)?;
            Ok::<_, ApiError>(Reply::ok(&wire::message(&message)))
        })
        .await
}

/// `GET /api/messages/unread`: `{unreadCounts, totalUnread}`, by platform.
pub(crate) async fn unread(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let party = party(&request)?;
    let unread = app
        .store
        .read(move |db| Ok::<_, ApiError>(receipts::unread(db, &party, Timestamp::now())?))
        .await?;
    Ok(Reply::ok(&wire::unread(&unread)))
}

/// `GET /api/conversations`: the caller's, the one that was written in last first; every one for
/// admins.
pub(crate) async fn conversations(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let party = party(&request)?;
    let limit = request.limit()?;
    let before: (i64, i64) = page::cursor(&request)?.unwrap_or((i64::MAX, i64::MAX));
    let conversations = app
        .store
        .read(move |db| {
            let now = Timestamp::now();
            rows::conversations(db, &party, before, limit + 1)?
                .into_iter()
                .map(|seq| {
                    let conversation = rows::conversation_at(db, seq)?;
                    rows::seen_by(db, &party, conversation, now)
                })
                .collect::<Result<Vec<_>, _>>()
                .map_err(ApiError::from)
        })
        .await?;
    let key = |seen: &Seen| (seen.updated_at.unix_ms(), seen.conversation.seq);
    let show = |seen: Seen| wire::conversation(&seen);
    Ok(page::reply(
        "conversations",
        conversations,
        limit,
        key,
        show,
    ))
}

/// `GET /api/conversations/{id}/messages`: newest first.
pub(crate) async fn conversation_messages(
    app: Arc<App>,
    request: Request,
) -> Result<Reply, ApiError> {
    let asking = asking(&request)?;
    let limit = request.limit()?;
    let before: i64 = page::cursor(&request)?.unwrap_or(i64::MAX);
    let id: ConversationId = request
        .parameter("id")
        .parse()
        .map_err(|_| asking.without("conversation"))?;
    let messages = app
        .store
        .read(move |db| {
            let found = rows::find_conversation(db, &id)?;
            let conversation = found.ok_or_else(|| asking.without("conversation"))?;
            if !conversation.is_open_to(&asking.party) {
                return Err(ApiError::forbidden());
            }
            let (party, now) = (&asking.party, Timestamp::now());
            let page = rows::page_of(db, party, &conversation, now, before, limit + 1)?;
            Ok(page)
        })
        .await?;
    Ok(shown(messages, limit))
}

fn shown(messages: Vec<Message>, limit: usize) -> Reply {
    let key = |message: &Message| message.seq;
    page::reply("messages", messages, limit, key, |message| {
        wire::message(&message)
    })
}

fn draft(body: &mut Fields) -> Result<Draft, ApiError> {
    let ttl_seconds: Option<i64> = body.optional("ttlSeconds")?;
    if ttl_seconds.is_some_and(|ttl| !TTL.contains(&ttl)) {
        let text = format!("ttlSeconds must be {} to {}", TTL.start(), TTL.end());
        return Err(ApiError::field("ttlSeconds", text));
    }
    Ok(Draft {
        from: body.optional("from")?,
        to: body.optional("to")?,
        conversation: body.optional("conversationId")?,
        platform: body.optional("platform")?,
        body: body.required("body")?,
        level: body.optional("level")?,
        ttl_seconds,
    })
}

fn party(request: &Request) -> Result<Party, ApiError> {
    let subject: &Subject = &request.principal()?.subject;
    Party::of(subject).ok_or_else(ApiError::forbidden)
}

fn asking(request: &Request) -> Result<Asking, ApiError> {
    Ok(Asking {
        party: party(request)?,
        actor: request.actor()?,
    })
}
