//! The GET and POST requests of a polling session. They move packets between the client and the session's queues,
//! and never hold its lock across an await.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::Response;
use hyper::body::Body;
use tokio::time::{Instant, timeout, timeout_at};

use super::packet::{CLOSE, NOOP, Packet, parse_payload};
use super::polling_session::{Phase, PollResult, PollingSession, REORDER_GRACE};
use super::response::{RequestError, payload};
use crate::{CloseReason, Frame};

/// How long a POST body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(20);

/// Handles a GET: waits for packets and responds with them.
pub(super) async fn poll<S>(
    session: &PollingSession<S>,
) -> Result<Response<Full<Bytes>>, RequestError> {
    let guard = session.begin_get()?;
    loop {
        match guard.try_respond() {
            PollResult::Payload(text) => return Ok(payload(text)),
            PollResult::Error(error) => return Err(error),
            PollResult::Wait(None) => session.get_wakeup.notified().await,
            PollResult::Wait(Some(until)) => {
                let _ = timeout_at(until, session.get_wakeup.notified()).await;
            }
        }
    }
}

/// Handles a POST: responds when its messages are in the inbox.
pub(super) async fn post<S, B>(
    session: &PollingSession<S>,
    body: B,
    max_packets: usize,
) -> Result<Response<Full<Bytes>>, RequestError>
where
    B: Body,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let guard = session.begin_post()?;
    let body = read_body(body, guard.max_payload).await?;
    let Ok(packets) = parse_payload(&body, max_packets) else {
        session.end(CloseReason::Protocol, CLOSE);
        return Err(RequestError::BadRequest);
    };
    let mut messages = Vec::new();
    let mut closes = false;
    for packet in packets {
        match packet {
            Packet::Message(frame) => messages.push(frame),
            // Handled before the messages in front of it, because those may wait for a busy application.
            Packet::Pong => session.lock().heartbeat.pong(Instant::now()),
            Packet::Noop => {}
            Packet::Close => {
                closes = true;
                break;
            }
            Packet::Probe | Packet::Upgrade => {
                session.end(CloseReason::Protocol, CLOSE);
                return Err(RequestError::BadRequest);
            }
        }
    }
    if !messages.is_empty() {
        enqueue(session, messages).await?;
    }
    if closes {
        close(session).await;
    }
    session.socket_task.wake();
    Ok(payload("ok"))
}

async fn read_body<B>(body: B, limit: usize) -> Result<Bytes, RequestError>
where
    B: Body,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    if body.size_hint().lower() > limit as u64 {
        return Err(RequestError::TooLarge);
    }
    match timeout(BODY_TIMEOUT, Box::pin(Limited::new(body, limit).collect())).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(RequestError::TooLarge),
        Ok(Err(_)) | Err(_) => Err(RequestError::BadRequest),
    }
}

/// Puts the messages into the inbox once it is empty, so that a slow application slows its client down.
async fn enqueue<S>(session: &PollingSession<S>, messages: Vec<Frame>) -> Result<(), RequestError> {
    loop {
        {
            let mut state = session.lock();
            match state.phase {
                Phase::Open if state.inbox.is_empty() => {
                    state.inbox = messages.into();
                    return Ok(());
                }
                Phase::Open => {}
                Phase::Upgraded => return Err(RequestError::BadRequest),
                Phase::Closing | Phase::Closed { .. } => return Err(RequestError::UnknownSession),
            }
        }
        session.post_wakeup.notified().await;
    }
}

/// Closes the session on the client's request. A pending poll must get a noop packet. The client sent that poll
/// before the close packet, but on another connection, so it may arrive slightly later.
async fn close<S>(session: &PollingSession<S>) {
    let deadline = Instant::now() + REORDER_GRACE;
    let poll_is_missing = || {
        let state = session.lock();
        state.phase == Phase::Open && !state.polling
    };
    while poll_is_missing() {
        if timeout_at(deadline, session.post_wakeup.notified())
            .await
            .is_err()
        {
            break;
        }
    }
    session.end(CloseReason::Peer { code: None }, NOOP);
}
