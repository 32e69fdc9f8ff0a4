//! The dialects' frames: what came in as a message, what goes out as text.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use tokio::sync::oneshot;

use crate::http::Fields;
use realtime_protocol::Frame;
use realtime_protocol::socketio::{self, AttachmentLimits, Packet};
use wallcast_core::clock::Timestamp;
use wallcast_core::disconnect::DisconnectReason;
use wallcast_core::event::{Event, EventType, Namespace, direct_json, direct_sse, to_json};
use wallcast_core::hub::Dialect;

/// How a connection's frames are to be read and written.
pub(super) enum Codec {
    /// One object a frame (contract 4.2).
    Json,
    /// Socket.IO packets (contract 4.1).
    SocketIo(socketio::Decoder),
    /// Server-sent events, which nothing answers (contract 4.3).
    Sse,
}

/// What a frame says.
pub(super) enum Inbound {
    /// Socket.IO wants to enter a namespace.
    Connect {
        namespace: String,
        auth: Option<Box<RawValue>>,
    },
    /// Socket.IO leaves a namespace.
    Disconnect { namespace: String },
    /// A message.
    Message(Message),
    /// No message that could be read: told, and the connection stays.
    Unreadable(Unreadable),
    /// Nothing to act on.
    Nothing,
    /// The connection must end.
    Broken { code: u16, reason: &'static str },
}

/// A message that cannot be acted on because of its form.
pub(super) struct Unreadable {
    /// The namespace it came in.
    pub(super) namespace: Option<String>,
    /// How its answer is to be marked, as far as that could be read.
    pub(super) request: Option<RequestMark>,
    /// What a message must be, for a person.
    pub(super) text: &'static str,
}

/// A message of a session.
pub(super) struct Message {
    /// The namespace it came in.
    pub(super) namespace: Option<String>,
    /// Its type.
    pub(super) kind: String,
    /// Its data.
    pub(super) fields: Fields,
    /// How its answer is to be marked, if one is wanted.
    pub(super) request: Option<RequestMark>,
}

/// What ties an answer to its request.
pub(super) enum RequestMark {
    /// JSON: `requestId`, a text or a number, given back as it came.
    Id(Value),
    /// Socket.IO: the acknowledgement's number.
    Ack(u64),
    /// `POST /api/send`: who waits for it.
    PostedMessage(oneshot::Sender<Value>),
}

/// The daemon takes no binary data (contract 4.2).
const NO_ATTACHMENTS: AttachmentLimits = AttachmentLimits { count: 0, bytes: 0 };

/// A stream that was superseded would come back and supersede another of its client: this holds a
/// stock `EventSource` off for an hour.
const SUPERSEDED_RETRY_MS: u32 = 3_600_000;

/// A `requestId` longer than this is nobody's.
const MAX_REQUEST_ID: usize = 128;

impl Codec {
    /// Socket.IO without binary attachments, which the daemon does not take.
    pub(super) fn socketio() -> Self {
        Self::SocketIo(socketio::Decoder::new(NO_ATTACHMENTS))
    }

    /// Reads a frame.
    pub(super) fn decode(&mut self, frame: Frame) -> Inbound {
        match self {
            Self::Json => match frame {
                Frame::Text(text) => read_json(&text),
                Frame::Binary(_) => Inbound::Broken {
                    code: 1003,
                    reason: "unsupported_data",
                },
            },
            Self::SocketIo(decoder) => match decoder.decode(frame) {
                Ok(Some(packet)) => read_packet(packet),
                Ok(None) => Inbound::Nothing,
                Err(error) => {
                    tracing::debug!(%error, "a Socket.IO packet was malformed");
                    Inbound::Broken {
                        code: 1002,
                        reason: "protocol_error",
                    }
                }
            },
            Self::Sse => Inbound::Nothing,
        }
    }

    /// Which dialect it is.
    pub(super) fn dialect(&self) -> Dialect {
        match self {
            Self::Json => Dialect::Json,
            Self::SocketIo(_) => Dialect::SocketIo,
            Self::Sse => Dialect::Sse,
        }
    }

    /// A message for one session alone.
    pub(super) fn direct(
        &self,
        namespace: Namespace,
        kind: &EventType,
        data: &impl Serialize,
    ) -> Frame {
        match self {
            Self::Json => Frame::Text(direct_json(kind, &to_json(data), Timestamp::now()).into()),
            Self::SocketIo(_) => {
                socketio::event(namespace.path(), None, kind.as_str(), [&*raw(data)])
            }
            Self::Sse => Frame::text(direct_sse(kind, &to_json(data))),
        }
    }

    /// How long a stock client is to wait before it comes back, where the dialect can say so.
    pub(super) fn pace(&self, reconnect_ms: u32) -> Option<Frame> {
        matches!(self, Self::Sse).then(|| Frame::text(format!("retry: {reconnect_ms}\n\n")))
    }

    /// What is told before a close where the close itself can say nothing (contract 4.3).
    pub(super) fn goodbye(&self, reason: DisconnectReason) -> Vec<Frame> {
        let Self::Sse = self else { return Vec::new() };
        let data = failure(reason.as_str(), reason.message());
        let told = self.direct(Namespace::Main, &EventType::ERROR, &data);
        let paced =
            (reason == DisconnectReason::Superseded).then(|| self.pace(SUPERSEDED_RETRY_MS));
        paced.flatten().into_iter().chain([told]).collect()
    }

    /// The answer to a request, as a frame where the connection itself carries it.
    pub(super) fn reply(
        &self,
        namespace: Namespace,
        mark: RequestMark,
        data: Value,
    ) -> Option<Frame> {
        match mark {
            RequestMark::PostedMessage(answer) => {
                // Whoever asked may have hung up.
                let _ = answer.send(data);
                None
            }
            RequestMark::Ack(id) => Some(socketio::ack(namespace.path(), id, [&*raw(&data)])),
            RequestMark::Id(id) => {
                let now = Timestamp::now();
                let kind = EventType::RESULT;
                let result = json!({
                    "type": kind.as_str(),
                    "requestId": id,
                    "data": data,
                    "timestamp": now,
                });
                Some(Frame::Text(to_json(&result).into()))
            }
        }
    }
}

/// An event's frame in a dialect: shared bytes.
pub(super) fn frame(dialect: Dialect, namespace: Namespace, event: &Event) -> Frame {
    Frame::Text(match dialect {
        Dialect::Json => event.as_json(),
        Dialect::SocketIo => event.as_socketio(namespace),
        Dialect::Sse => event.as_sse(),
    })
}

/// JSON text of our own as it is spliced into a packet.
fn raw(data: &impl Serialize) -> Box<RawValue> {
    serde_json::value::to_raw_value(data).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

fn read_json(text: &str) -> Inbound {
    let unreadable = |request, text| {
        Inbound::Unreadable(Unreadable {
            namespace: None,
            request,
            text,
        })
    };
    let Ok(Value::Object(mut message)) = serde_json::from_str(text) else {
        return unreadable(None, "A message is one JSON object");
    };
    let request = match message
        .remove("requestId")
        .or_else(|| message.remove("request_id"))
    {
        None | Some(Value::Null) => None,
        Some(id @ (Value::String(_) | Value::Number(_)))
            if id.to_string().len() <= MAX_REQUEST_ID =>
        {
            Some(RequestMark::Id(id))
        }
        Some(_) => {
            let text = "requestId is a text or number of at most 128 characters";
            return unreadable(None, text);
        }
    };
    match read_message(message) {
        Ok((kind, data)) => Inbound::Message(Message {
            namespace: None,
            kind,
            fields: Fields::new(data),
            request,
        }),
        Err(text) => unreadable(request, text),
    }
}

/// The type and data of a message as JSON.
///
/// # Errors
/// What a message must be, for a person.
pub(super) fn read_message(
    mut message: Map<String, Value>,
) -> Result<(String, Map<String, Value>), &'static str> {
    let Some(Value::String(kind)) = message.remove("type") else {
        return Err("A message says its type as a text");
    };
    // The keys may stand in `data` or beside `type` (contract 4.2); what is in `data` counts more.
    match message.remove("data") {
        None | Some(Value::Null) => {}
        Some(Value::Object(data)) => message.extend(data),
        Some(_) => return Err("data is an object"),
    }
    Ok((kind, message))
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
            let Some(kind) = args.name().map(Cow::into_owned) else {
                return Inbound::Broken {
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
                    return Inbound::Unreadable(Unreadable {
                        namespace: Some(namespace.into()),
                        request: ack.map(RequestMark::Ack),
                        text: "A message's data is an object",
                    });
                }
            };
            Inbound::Message(Message {
                namespace: Some(namespace.into()),
                kind,
                fields: Fields::new(fields),
                request: ack.map(RequestMark::Ack),
            })
        }
        // No event of ours asks for an acknowledgement (contract 4.1).
        socketio::PacketData::Ack { .. } => Inbound::Nothing,
    }
}

/// A failed request's answer, and `error`'s data (contract 4.2).
pub(super) fn failure(code: &str, message: &str) -> Value {
    json!({
        "success": false,
        "error": message,
        "message": message,
        "code": code,
        "timestamp": Timestamp::now(),
    })
}
