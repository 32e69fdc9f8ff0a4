//! Encodes events to frames and decodes frames to messages, for each dialect. Knows no session.

use std::borrow::Cow;

use realtime_protocol::Frame;
use realtime_protocol::socketio::{self, AttachmentLimits, Packet};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use tokio::sync::oneshot;
use wallcast_core::clock::Timestamp;
use wallcast_core::disconnect::DisconnectReason;
use wallcast_core::event::{Event, EventType, Namespace, direct_json, direct_sse, to_json};
use wallcast_core::hub::Dialect;

use crate::http::Fields;

/// The dialect of a connection and its decoder (`docs/protocol.md#dialects`).
pub(super) enum Codec {
    /// One JSON object for each WebSocket message.
    Json,
    SocketIo(socketio::Decoder),
    /// Server-sent events; the client sends nothing.
    Sse,
}

/// A decoded frame.
pub(super) enum Inbound {
    /// Socket.IO's CONNECT to a namespace.
    Connect {
        namespace: String,
        auth: Option<Box<RawValue>>,
    },
    /// Socket.IO's DISCONNECT from a namespace.
    Disconnect {
        namespace: String,
    },
    Message(Message),
    /// A malformed message: it gets an error reply, and the connection stays open.
    Invalid(InvalidMessage),
    /// Nothing to act on.
    Ignored,
    /// The connection is to be closed with this code and reason.
    ProtocolError {
        code: u16,
        reason: &'static str,
    },
}

pub(super) struct InvalidMessage {
    /// The Socket.IO namespace; `None` on a connection with one session.
    pub(super) namespace: Option<String>,
    /// Where the error goes, as far as that could be read.
    pub(super) reply_to: Option<ReplyTo>,
    /// The error text.
    pub(super) text: &'static str,
}

pub(super) struct Message {
    /// The Socket.IO namespace; `None` on a connection with one session.
    pub(super) namespace: Option<String>,
    pub(super) message_type: String,
    pub(super) fields: Fields,
    /// Where the reply goes, if the client asked for one.
    pub(super) reply_to: Option<ReplyTo>,
}

/// Where the reply to a message goes.
pub(super) enum ReplyTo {
    /// JSON: the `requestId`, a string or a number, returned unchanged.
    RequestId(Value),
    /// Socket.IO: the acknowledgement's id.
    Ack(u64),
    /// `POST /api/send`: the waiting HTTP request.
    Http(oneshot::Sender<Value>),
}

/// Binary data is not accepted.
const NO_ATTACHMENTS: AttachmentLimits = AttachmentLimits { count: 0, bytes: 0 };

/// A superseded stream would reconnect and supersede another stream of its client. This makes a stock
/// `EventSource` wait an hour.
const SUPERSEDED_RETRY_MS: u32 = 3_600_000;

/// The longest `requestId`, in bytes of JSON.
const MAX_REQUEST_ID: usize = 128;

impl Codec {
    /// Socket.IO without binary attachments.
    pub(super) fn socketio() -> Self {
        Self::SocketIo(socketio::Decoder::new(NO_ATTACHMENTS))
    }

    pub(super) fn decode(&mut self, frame: Frame) -> Inbound {
        match self {
            Self::Json => match frame {
                Frame::Text(text) => read_json(&text),
                Frame::Binary(_) => Inbound::ProtocolError {
                    code: 1003,
                    reason: "unsupported_data",
                },
            },
            Self::SocketIo(decoder) => match decoder.decode(frame) {
                Ok(Some(packet)) => read_packet(packet),
                Ok(None) => Inbound::Ignored,
                Err(error) => {
                    tracing::debug!(%error, "malformed Socket.IO packet received");
                    Inbound::ProtocolError {
                        code: 1002,
                        reason: "protocol_error",
                    }
                }
            },
            Self::Sse => Inbound::Ignored,
        }
    }

    pub(super) fn dialect(&self) -> Dialect {
        match self {
            Self::Json => Dialect::Json,
            Self::SocketIo(_) => Dialect::SocketIo,
            Self::Sse => Dialect::Sse,
        }
    }

    /// The frame of an event for one session alone: it has no id and no topics.
    pub(super) fn direct(
        &self,
        namespace: Namespace,
        event_type: &EventType,
        data: &impl Serialize,
    ) -> Frame {
        match self {
            Self::Json => {
                Frame::Text(direct_json(event_type, &to_json(data), Timestamp::now()).into())
            }
            Self::SocketIo(_) => {
                socketio::event(namespace.path(), None, event_type.as_str(), [&*raw(data)])
            }
            Self::Sse => Frame::text(direct_sse(event_type, &to_json(data))),
        }
    }

    /// The frame that sets how long a client waits before it reconnects; only SSE has one.
    pub(super) fn retry_hint(&self, reconnect_ms: u32) -> Option<Frame> {
        matches!(self, Self::Sse).then(|| Frame::text(format!("retry: {reconnect_ms}\n\n")))
    }

    /// Frames to send before a close with `reason`: SSE gets an `error` event, because closing a stream carries no
    /// reason.
    pub(super) fn close_frames(&self, reason: DisconnectReason) -> Vec<Frame> {
        let Self::Sse = self else { return Vec::new() };
        let data = failure(reason.as_str(), reason.message());
        let error = self.direct(Namespace::Main, &EventType::ERROR, &data);
        let retry =
            (reason == DisconnectReason::Superseded).then(|| self.retry_hint(SUPERSEDED_RETRY_MS));
        retry.flatten().into_iter().chain([error]).collect()
    }

    /// Replies to a message: the frame to send, or `None` if the reply went to an HTTP request.
    pub(super) fn reply(
        &self,
        namespace: Namespace,
        reply_to: ReplyTo,
        data: Value,
    ) -> Option<Frame> {
        match reply_to {
            ReplyTo::Http(reply_sender) => {
                // The HTTP client may have disconnected.
                let _ = reply_sender.send(data);
                None
            }
            ReplyTo::Ack(id) => Some(socketio::ack(namespace.path(), id, [&*raw(&data)])),
            ReplyTo::RequestId(id) => {
                let now = Timestamp::now();
                let result = json!({
                    "type": EventType::RESULT.as_str(),
                    "requestId": id,
                    "data": data,
                    "timestamp": now,
                });
                Some(Frame::Text(to_json(&result).into()))
            }
        }
    }
}

/// The frame of an event. An event is encoded once for each dialect and its bytes are shared by all recipients.
pub(super) fn frame(dialect: Dialect, namespace: Namespace, event: &Event) -> Frame {
    Frame::Text(match dialect {
        Dialect::Json => event.as_json(),
        Dialect::SocketIo => event.as_socketio(namespace),
        Dialect::Sse => event.as_sse(),
    })
}

/// Data as raw JSON, to be embedded in a packet.
fn raw(data: &impl Serialize) -> Box<RawValue> {
    serde_json::value::to_raw_value(data).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

fn read_json(text: &str) -> Inbound {
    let invalid = |reply_to, text| {
        Inbound::Invalid(InvalidMessage {
            namespace: None,
            reply_to,
            text,
        })
    };
    let Ok(Value::Object(mut message)) = serde_json::from_str(text) else {
        return invalid(None, "A message must be one JSON object");
    };
    let reply_to = match message
        .remove("requestId")
        .or_else(|| message.remove("request_id"))
    {
        None | Some(Value::Null) => None,
        Some(id @ (Value::String(_) | Value::Number(_)))
            if id.to_string().len() <= MAX_REQUEST_ID =>
        {
            Some(ReplyTo::RequestId(id))
        }
        Some(_) => {
            let text = "`requestId` must be a string or a number of at most 128 characters";
            return invalid(None, text);
        }
    };
    match read_message(message) {
        Ok((message_type, data)) => Inbound::Message(Message {
            namespace: None,
            message_type,
            fields: Fields::new(data),
            reply_to,
        }),
        Err(text) => invalid(reply_to, text),
    }
}

/// Splits a JSON message into its type and its data.
///
/// # Errors
/// The error text for the client.
pub(super) fn read_message(
    mut message: Map<String, Value>,
) -> Result<(String, Map<String, Value>), &'static str> {
    let Some(Value::String(message_type)) = message.remove("type") else {
        return Err("`type` must be a string");
    };
    // Keys may be in `data` or beside `type`; those in `data` win (docs/protocol.md#json-websocket).
    match message.remove("data") {
        None | Some(Value::Null) => {}
        Some(Value::Object(data)) => message.extend(data),
        Some(_) => return Err("`data` must be an object"),
    }
    Ok((message_type, message))
}

fn read_packet(packet: Packet) -> Inbound {
    let namespace = packet.namespace;
    match packet.data {
        socketio::PacketData::Connect { auth } => Inbound::Connect {
            namespace: namespace.into(),
            auth,
        },
        socketio::PacketData::Disconnect => Inbound::Disconnect {
            namespace: namespace.into(),
        },
        socketio::PacketData::Event { ack, args, .. } => {
            let Some(message_type) = args.name().map(Cow::into_owned) else {
                return Inbound::ProtocolError {
                    code: 1002,
                    reason: "protocol_error",
                };
            };
            let data = args
                .first()
                .map(|raw| serde_json::from_str::<Value>(raw.get()));
            let fields = match data {
                None | Some(Ok(Value::Null)) => Map::new(),
                Some(Ok(Value::Object(data))) => data,
                _ => {
                    return Inbound::Invalid(InvalidMessage {
                        namespace: Some(namespace.into()),
                        reply_to: ack.map(ReplyTo::Ack),
                        text: "The event's argument must be an object",
                    });
                }
            };
            Inbound::Message(Message {
                namespace: Some(namespace.into()),
                message_type,
                fields: Fields::new(fields),
                reply_to: ack.map(ReplyTo::Ack),
            })
        }
        // Wallcast never asks for an acknowledgement.
        socketio::PacketData::Ack { .. } => Inbound::Ignored,
    }
}

/// The data of a failed reply and of an `error` event.
pub(super) fn failure(code: &str, message: &str) -> Value {
    json!({
        "success": false,
        "error": message,
        "message": message,
        "code": code,
        "timestamp": Timestamp::now(),
    })
}
