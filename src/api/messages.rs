//! `/api/messages` and `/api/conversations`: messages over HTTP (`docs/protocol.md#messages`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use wallcast_core::auth::Subject;
use wallcast_core::clock::Timestamp;
use wallcast_core::ids::{ConversationId, MessageId};

use crate::app::App;
use crate::http::{ApiError, Fields, Reply, Request, page};
use crate::messages::{
    self, ConversationView, Message, MessageError, MessageStatus, NewMessage, Participant,
    Requester, TTL, publish_unread_counts_to_connected, rows, unread_counts, wire,
};

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

/// `GET /api/messages`, newest first: the messages that the caller sent or received, all messages for admins.
pub(super) async fn list(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let participant = participant(&request)?;
    let limit = request.limit()?;
    let before: i64 = page::cursor(&request)?.unwrap_or(i64::MAX);
    let messages = app
        .store
        .read(move |db| {
            let now = Timestamp::now();
            Ok::<_, ApiError>(rows::page(db, &participant, now, before, limit + 1)?)
        })
        .await?;
    Ok(message_page(messages, limit))
}

/// `POST /api/messages` `{to, platform?, body, level?, ttlSeconds?}`, or `conversationId` instead of `to` and
/// `platform`. An admin may send on behalf of another participant with `from`.
pub(crate) async fn send(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let requester = requester(&request)?;
    let new = new_message(&mut request.fields()?)?;
    let is_to_all = Arc::new(AtomicBool::new(false));
    let sent_to_all = is_to_all.clone();
    let reply = request
        .write(&app.store, move |tx| {
            let message = messages::send(tx, &requester, new)?;
            sent_to_all.store(message.is_to_all(), Ordering::Relaxed);
            Ok::<_, ApiError>(Reply::created(&wire::message(&message)))
        })
        .await?;
    app.expiry.recheck();
    if is_to_all.load(Ordering::Relaxed)
        && let Err(error) = publish_unread_counts_to_connected(&app.store, &app.hub).await
    {
        tracing::warn!(%error, "unread counts not published");
    }
    Ok(reply)
}

/// `PATCH /api/messages/{id}` `{status}`: for the recipient, or an admin on its behalf.
pub(super) async fn change(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let requester = requester(&request)?;
    let status: MessageStatus = request.fields()?.required("status")?;
    let id: MessageId = request
        .parameter("id")
        .parse()
        .map_err(|_| requester.not_found("message"))?;
    request
        .write(&app.store, move |tx| {
            let message = messages::set_status(tx, &requester, &id, status)?;
            Ok::<_, ApiError>(Reply::ok(&wire::message(&message)))
        })
        .await
}

/// `GET /api/messages/unread`: `{unreadCounts, totalUnread}`, the counts by platform.
pub(super) async fn unread(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let participant = participant(&request)?;
    let unread = app
        .store
        .read(move |db| Ok::<_, ApiError>(unread_counts(db, &participant, Timestamp::now())?))
        .await?;
    Ok(Reply::ok(&wire::unread(&unread)))
}

/// `GET /api/conversations`, most recently updated first: the caller's conversations, all for admins.
pub(super) async fn conversations(app: Arc<App>, request: Request) -> Result<Reply, ApiError> {
    let participant = participant(&request)?;
    let limit = request.limit()?;
    let before: (i64, i64) = page::cursor(&request)?.unwrap_or((i64::MAX, i64::MAX));
    let conversations = app
        .store
        .read(move |db| {
            let now = Timestamp::now();
            rows::conversations(db, &participant, before, limit + 1)?
                .into_iter()
                .map(|seq| {
                    let conversation = rows::conversation_at(db, seq)?;
                    rows::view_of(db, &participant, conversation, now)
                })
                .collect::<Result<Vec<_>, _>>()
                .map_err(ApiError::from)
        })
        .await?;
    let key = |seen: &ConversationView| (seen.updated_at.unix_ms(), seen.conversation.seq);
    Ok(page::reply(
        "conversations",
        conversations,
        limit,
        key,
        |seen| wire::conversation(&seen),
    ))
}

/// `GET /api/conversations/{id}/messages`: newest first.
pub(super) async fn conversation_messages(
    app: Arc<App>,
    request: Request,
) -> Result<Reply, ApiError> {
    let requester = requester(&request)?;
    let limit = request.limit()?;
    let before: i64 = page::cursor(&request)?.unwrap_or(i64::MAX);
    let id: ConversationId = request
        .parameter("id")
        .parse()
        .map_err(|_| requester.not_found("conversation"))?;
    let messages = app
        .store
        .read(move |db| {
            let found = rows::find_conversation(db, &id)?;
            let conversation = found.ok_or_else(|| requester.not_found("conversation"))?;
            if !conversation.is_readable_by(&requester.participant) {
                return Err(ApiError::forbidden());
            }
            let (participant, now) = (&requester.participant, Timestamp::now());
            let page = rows::page_of(db, participant, &conversation, now, before, limit + 1)?;
            Ok(page)
        })
        .await?;
    Ok(message_page(messages, limit))
}

fn message_page(messages: Vec<Message>, limit: usize) -> Reply {
    let key = |message: &Message| message.seq;
    page::reply("messages", messages, limit, key, |message| {
        wire::message(&message)
    })
}

fn new_message(body: &mut Fields) -> Result<NewMessage, ApiError> {
    let ttl_seconds: Option<i64> = body.optional("ttlSeconds")?;
    if ttl_seconds.is_some_and(|ttl| !TTL.contains(&ttl)) {
        let message = format!("`ttlSeconds` must be {} to {}", TTL.start(), TTL.end());
        return Err(ApiError::field("ttlSeconds", message));
    }
    Ok(NewMessage {
        from: body.optional("from")?,
        to: body.optional("to")?,
        conversation: body.optional("conversationId")?,
        platform: body.optional("platform")?,
        body: body.required("body")?,
        level: body.optional("level")?,
        ttl_seconds,
    })
}

fn participant(request: &Request) -> Result<Participant, ApiError> {
    let subject: &Subject = &request.principal()?.subject;
    Participant::of(subject).ok_or_else(ApiError::forbidden)
}

fn requester(request: &Request) -> Result<Requester, ApiError> {
    Ok(Requester {
        participant: participant(request)?,
        actor: request.actor()?,
    })
}
