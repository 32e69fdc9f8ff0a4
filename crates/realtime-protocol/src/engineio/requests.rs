//! The GETs and POSTs of a polling session; they only move packets in and out of the session, and never hold its lock while waiting.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::Response;
use hyper::body::Body;
use tokio::time::{Instant, timeout, timeout_at};

use super::packet::{CLOSE, NOOP, Packet, parse_payload};
use super::refusal::{Refusal, payload};
use super::session::{MOMENT, Phase, Session, Taken};
use crate::{Ended, Frame};

/// The longest that a body within the limits may take to arrive.
const BODY_TIME: Duration = Duration::from_secs(20);

/// Answers a GET as soon as there is something to say.
pub(super) async fn poll<S>(session: &Session<S>) -> Result<Response<Full<Bytes>>, Refusal> {
    let turn = session.begin_get()?;
    loop {
        match turn.take() {
            Taken::Payload(text) => return Ok(payload(text)),
            Taken::Refused(refusal) => return Err(refusal),
            Taken::Wait(None) => session.get.notified().await,
            Taken::Wait(Some(until)) => {
                let _ = timeout_at(until, session.get.notified()).await;
            }
        }
    }
}

/// Takes the packets of a POST; answers when the socket has room for them.
pub(super) async fn push<S, B>(
    session: &Session<S>,
    body: B,
    max_packets: usize,
) -> Result<Response<Full<Bytes>>, Refusal>
where
    B: Body,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let turn = session.begin_post()?;
    let body = read(body, turn.max_payload).await?;
    let Ok(packets) = parse_payload(&body, max_packets) else {
        session.end(Ended::Protocol, CLOSE);
        return Err(Refusal::BadRequest);
    };
    let mut messages = Vec::new();
    let mut closes = false;
    for packet in packets {
        match packet {
            Packet::Message(frame) => messages.push(frame),
            // At once and not in its turn: a sign of life may not wait for a busy app.
            Packet::Pong => session.lock().heartbeat.pong(Instant::now()),
            Packet::Noop => {}
            Packet::Close => {
                closes = true;
                break;
            }
            Packet::Probe | Packet::Upgrade => {
                session.end(Ended::Protocol, CLOSE);
                return Err(Refusal::BadRequest);
            }
        }
    }
    if !messages.is_empty() {
        deliver(session, messages).await?;
    }
    if closes {
        close(session).await;
    }
    session.task.wake();
    Ok(payload("ok"))
}

async fn read<B>(body: B, limit: usize) -> Result<Bytes, Refusal>
where
    B: Body,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    if body.size_hint().lower() > limit as u64 {
        return Err(Refusal::TooLarge);
    }
    match timeout(BODY_TIME, Box::pin(Limited::new(body, limit).collect())).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Refusal::TooLarge),
        Ok(Err(_)) | Err(_) => Err(Refusal::BadRequest),
    }
}

/// Hands the messages over once the socket has read the ones before, so that a slow app slows its client down.
async fn deliver<S>(session: &Session<S>, messages: Vec<Frame>) -> Result<(), Refusal> {
    loop {
        {
            let mut state = session.lock();
            match state.phase {
                Phase::Open if state.inbox.is_empty() => {
                    state.inbox = messages.into();
                    return Ok(());
                }
                Phase::Open => {}
                Phase::Upgraded => return Err(Refusal::BadRequest),
                Phase::Leaving | Phase::Ended { .. } => return Err(Refusal::UnknownSession),
            }
        }
        session.post.notified().await;
    }
}

/// Ends the session for its client. The poll which that shall release with a noop was sent before
/// the close, but on another connection, and may be a moment behind.
async fn close<S>(session: &Session<S>) {
    let deadline = Instant::now() + MOMENT;
    let waits = || {
        let state = session.lock();
        state.phase == Phase::Open && !state.polling
    };
    while waits() {
        if timeout_at(deadline, session.post.notified()).await.is_err() {
            break;
        }
    }
    session.end(Ended::Peer { code: None }, NOOP);
}
