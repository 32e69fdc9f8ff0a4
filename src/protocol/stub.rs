#![allow(missing_docs, dead_code, unused_variables, clippy::todo)]
use super::{Event, Frame};
use bytes::Bytes;
pub mod engineio {
    use super::*;
    use http_body_util::Full;
    use hyper::*;
    use std::task::*;
    #[derive(PartialEq)]
    pub enum Transport {
        WebSocket,
        Polling,
    }
    #[derive(Default)]
    pub struct Config {
        pub max_payload: usize,
    }
    #[derive(Debug)]
    pub struct Engine<S>(std::marker::PhantomData<fn(S)>);
    pub fn names_session(q: Option<&str>) -> bool {
        todo!()
    }
    impl<S> Engine<S> {
        pub fn new(c: Config) -> Self {
            return Self(std::marker::PhantomData);
            todo!()
        }
        pub async fn handle<B>(
            &self,
            r: Request<B>,
            f: impl FnOnce(Socket<S>),
        ) -> Response<Full<Bytes>> {
            todo!()
        }
    }
    pub struct Socket<S>(pub S);
    impl<S> Socket<S> {
        pub fn transport(&self) -> Transport {
            todo!()
        }
        pub fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
            todo!()
        }
        pub fn can_send(&self) -> bool {
            todo!()
        }
        pub fn send(&mut self, f: Frame) {}
        pub fn discard_unsent(&mut self) -> bool {
            todo!()
        }
        pub fn set_max_payload(&mut self, n: usize) {}
        pub async fn close(self, c: u16, r: &str) {}
    }
}
pub mod socketio {
    use super::*;
    use serde_json::value::RawValue;
    use std::borrow::Cow;
    #[derive(Default)]
    pub struct Decoder;
    pub struct Packet {
        pub namespace: String,
        pub kind: PacketKind,
    }
    pub enum PacketKind {
        Connect {
            auth: Option<Box<RawValue>>,
        },
        Disconnect,
        Event {
            ack: Option<u64>,
            args: Box<RawValue>,
            attachments: Vec<Bytes>,
        },
        Ack {
            id: u64,
        },
    }
    impl Decoder {
        pub fn push(&mut self, f: Frame) -> Result<Option<Packet>, std::io::Error> {
            todo!()
        }
    }
    pub fn event_name(a: &RawValue) -> Result<Cow<'_, str>, ()> {
        todo!()
    }
    pub fn first_argument(a: &RawValue) -> Result<Option<&RawValue>, ()> {
        todo!()
    }
    pub fn event(ns: &str, a: &str) -> Frame {
        todo!()
    }
    pub fn ack(ns: &str, id: u64, a: &str) -> Frame {
        todo!()
    }
    pub fn connect(ns: &str, sid: &str, pid: Option<&str>) -> Frame {
        todo!()
    }
    pub fn connect_error(ns: &str, m: &str, d: Option<&str>) -> Frame {
        todo!()
    }
    pub fn disconnect(ns: &str) -> Frame {
        todo!()
    }
}
