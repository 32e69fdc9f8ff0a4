//! Decoding of valid and invalid packets, and round trips through the encoder.

use proptest::prelude::*;
use serde_json::value::{RawValue, to_raw_value};

use super::decode::RESERVED;
use super::*;
use crate::Frame;

const LIMITS: AttachmentLimits = AttachmentLimits { count: 2, bytes: 8 };

fn decode(text: &str) -> Result<Option<Packet>, DecodeError> {
    Decoder::new(LIMITS).decode(Frame::text(text))
}

fn packet(text: &str) -> Packet {
    decode(text).unwrap().unwrap()
}

fn binary(bytes: &'static [u8]) -> Frame {
    Frame::Binary(Bytes::from_static(bytes))
}

#[test]
fn connect_with_and_without_auth_decodes() {
    for (text, namespace, auth) in [
        ("40", "/", None),
        ("40{\"token\":\"x\"}", "/", Some("{\"token\":\"x\"}")),
        ("40/custom", "/custom", None),
        ("40/custom,", "/custom", None),
        ("40/custom?token=1&x=2,{}", "/custom", Some("{}")),
    ] {
        let packet = packet(text);
        assert_eq!(&*packet.namespace, namespace, "{text}");
        let PacketData::Connect { auth: read } = packet.data else {
            panic!("{text}")
        };
        assert_eq!(read.as_deref().map(RawValue::get), auth, "{text}");
    }
}

#[test]
fn events_and_acks_decode() {
    let PacketData::Event { ack, args, .. } = packet("42/a,12[\"hello\",1]").data else {
        panic!()
    };
    assert_eq!((ack, args.name().unwrap().as_ref()), (Some(12), "hello"));
    assert_eq!(args.first().unwrap().get(), "1");
    let PacketData::Ack { id, args, .. } = packet("4318446744073709551615[]").data else {
        panic!()
    };
    assert_eq!((id, args.items().len()), (u64::MAX, 0));
    assert!(matches!(packet("41/admin,").data, PacketData::Disconnect));
}

#[test]
fn binary_event_with_attachments_decodes() {
    let mut decoder = Decoder::new(LIMITS);
    let text = r#"452-7["m",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#;
    assert!(decoder.decode(Frame::text(text)).unwrap().is_none());
    assert!(decoder.decode(binary(&[1])).unwrap().is_none());
    let packet = decoder.decode(binary(&[2, 3])).unwrap().unwrap();
    let PacketData::Event {
        ack: Some(7),
        attachments,
        ..
    } = packet.data
    else {
        panic!()
    };
    assert_eq!(attachments, [&[1][..], &[2, 3]]);
    assert!(decoder.decode(Frame::text("42[\"m\"]")).unwrap().is_some());
}

#[test]
fn attachments_over_limit_or_out_of_order_are_rejected() {
    assert_eq!(
        decode("453-[\"m\"]").unwrap_err(),
        DecodeError::AttachmentLimit
    );
    let huge = "4599999999999999999999-[\"m\"]";
    assert_eq!(decode(huge).unwrap_err(), DecodeError::AttachmentCount);
    let mut decoder = Decoder::new(LIMITS);
    decoder.decode(Frame::text("451-[\"m\"]")).unwrap();
    assert_eq!(
        decoder.decode(binary(&[0; 9])).unwrap_err(),
        DecodeError::AttachmentLimit
    );
    let mut decoder = Decoder::new(LIMITS);
    decoder.decode(Frame::text("451-[\"m\"]")).unwrap();
    let text = decoder.decode(Frame::text("42[\"m\"]"));
    assert_eq!(text.unwrap_err(), DecodeError::AttachmentMissing);
    assert_eq!(
        decoder.decode(binary(&[])).unwrap_err(),
        DecodeError::AttachmentUnexpected
    );
}

#[test]
fn invalid_packets_are_rejected() {
    for (text, error) in [
        ("", DecodeError::NotAMessage),
        ("2[\"m\"]", DecodeError::NotAMessage),
        ("4", DecodeError::Type),
        ("4abc", DecodeError::Type),
        ("4€", DecodeError::Type),
        ("44{}", DecodeError::Type),
        ("47[]", DecodeError::Type),
        ("45[\"m\"]", DecodeError::AttachmentCount),
        ("45+1-[\"m\"]", DecodeError::AttachmentCount),
        ("40[]", DecodeError::Payload),
        ("40{", DecodeError::Payload),
        ("41x", DecodeError::Payload),
        ("42", DecodeError::Payload),
        ("42{}", DecodeError::Payload),
        ("42abc[\"m\"]", DecodeError::Payload),
        ("42/a", DecodeError::Payload),
        ("42[\"m\"", DecodeError::Payload),
        ("42[]", DecodeError::Name),
        ("42[null]", DecodeError::Name),
        ("42[\"disconnecting\"]", DecodeError::Name),
        ("42[\"conn\\u0065ct\"]", DecodeError::Name),
        ("43[]", DecodeError::AckId),
        ("4318446744073709551616[]", DecodeError::AckId),
        ("431", DecodeError::Payload),
    ] {
        assert_eq!(decode(text).unwrap_err(), error, "{text}");
    }
}

#[test]
fn deeply_nested_json_does_not_overflow_stack() {
    let deep = format!("42[\"m\",{}{}]", "[".repeat(30_000), "]".repeat(30_000));
    if let Ok(Some(Packet {
        data: PacketData::Event { args, .. },
        ..
    })) = decode(&deep)
    {
        assert_eq!(args.items().len(), 2);
        assert!(args.first().is_some());
    }
    assert!(decode(&format!("42{}", "[".repeat(60_000))).is_err());
}

fn namespaces() -> impl Strategy<Value = String> {
    "(/[a-z0-9/_-]{1,8})|/"
}

proptest! {
    #[test]
    fn events_round_trip(
        namespace in namespaces(), name in "\\PC*", ack: Option<u64>,
        data: Vec<String>, attachments in prop::collection::vec(any::<[u8; 4]>(), 0..3),
    ) {
        prop_assume!(!RESERVED.contains(&name.as_str()));
        let data: Vec<_> = data.iter().map(|item| to_raw_value(item).unwrap()).collect();
        let items = data.iter().map(AsRef::as_ref);
        let frames = if attachments.is_empty() {
            vec![event(&namespace, ack, &name, items)]
        } else {
            let attachments = attachments.iter().map(|bytes| Bytes::copy_from_slice(bytes));
            binary_event(&namespace, ack, &name, items, attachments.collect())
        };
        let mut decoder = Decoder::new(LIMITS);
        let packets: Vec<_> = frames.into_iter().filter_map(|frame| decoder.decode(frame).unwrap()).collect();
        prop_assert_eq!(packets.len(), 1);
        prop_assert_eq!(&*packets[0].namespace, namespace);
        let PacketData::Event { ack: read, args, attachments: got } = &packets[0].data else { panic!() };
        prop_assert_eq!(*read, ack);
        prop_assert_eq!(args.name().unwrap(), name);
        let texts = |items: &[&RawValue]| items.iter().map(|item| item.get().to_owned()).collect::<Vec<_>>();
        prop_assert_eq!(texts(&args.items()[1..]), data.iter().map(|item| item.get().to_owned()).collect::<Vec<_>>());
        let got: Vec<_> = got.iter().map(|bytes| bytes.to_vec()).collect();
        prop_assert_eq!(got, attachments.iter().map(|bytes| bytes.to_vec()).collect::<Vec<_>>());
    }

    #[test]
    fn acks_round_trip(namespace in namespaces(), id: u64, data: Vec<bool>) {
        let data: Vec<_> = data.iter().map(|item| to_raw_value(item).unwrap()).collect();
        let frame = ack(&namespace, id, data.iter().map(AsRef::as_ref));
        let packet = Decoder::new(LIMITS).decode(frame).unwrap().unwrap();
        prop_assert_eq!(&*packet.namespace, namespace);
        let PacketData::Ack { id: read, args, .. } = packet.data else { panic!() };
        prop_assert_eq!((read, args.items().len()), (id, data.len()));
    }

    #[test]
    fn random_input_never_panics(texts: Vec<String>, bytes: Vec<u8>) {
        let mut decoder = Decoder::new(LIMITS);
        for text in texts {
            let _ = decoder.decode(Frame::text(text));
        }
        let _ = decoder.decode(Frame::Binary(bytes.into()));
    }

    #[test]
    fn almost_valid_input_never_panics(text in "4[0-6][0-9]{0,3}-?(/[a-z?€]{0,3},?)?[0-9]{0,21}[\\[{\"a€\\]}0,\\\\]{0,12}") {
        let _ = decode(&text);
    }
}
