//! Counts the instructions of the codecs and of the hub's look-up, and fails when one takes more than a
//! tenth above its baseline, which stands beside it. Raise a baseline only in the commit that says why.

use std::hint::black_box;

use gungraun::prelude::*;
use gungraun::{Callgrind, EventKind};
use micro::House;
use wallcast::event::{Event, Namespace};
use wallcast::protocol::Frame;
use wallcast::protocol::socketio::Decoder;

/// Instructions that a benchmark took when it was last looked at.
fn baseline(instructions: u64) -> LibraryBenchmarkConfig {
    let limit = instructions + instructions / 10;
    let mut config = LibraryBenchmarkConfig::default();
    config.tool(Callgrind::default().hard_limits([(EventKind::Ir, limit)]));
    config
}

#[library_benchmark(config = baseline(4_903))]
#[bench::area_updated(micro::event())]
fn encode_json(event: Event) -> Event {
    black_box(event.as_json());
    event
}

#[library_benchmark(config = baseline(1_796))]
#[bench::area_updated(micro::event())]
fn encode_socketio(event: Event) -> Event {
    black_box(event.as_socketio(Namespace::Main));
    event
}

#[library_benchmark(config = baseline(9_210))]
#[bench::area_updated(micro::event())]
fn encode_sse(event: Event) -> Event {
    black_box(event.as_sse());
    event
}

#[library_benchmark(config = baseline(3_251))]
#[bench::subscribe_room(micro::decoder(), micro::frame())]
fn decode_socketio(mut decoder: Decoder, frame: Frame) -> Decoder {
    assert!(black_box(decoder.decode(frame)).is_ok());
    decoder
}

#[library_benchmark(config = baseline(1_715))]
#[bench::of_1_000(micro::house(1_000, 1), micro::event())]
fn find_one_listener(house: House, event: Event) -> House {
    assert_eq!(house.hub.publish(event), 1);
    house
}

#[library_benchmark(config = baseline(553_092))]
#[bench::all(micro::house(1_000, 1_000), micro::event())]
fn fan_out_to_1_000(house: House, event: Event) -> House {
    assert_eq!(house.hub.publish(event), 1_000);
    house
}

library_benchmark_group!(
    name = codecs,
    benchmarks = [encode_json, encode_socketio, encode_sse, decode_socketio]
);
library_benchmark_group!(
    name = hub,
    benchmarks = [find_one_listener, fan_out_to_1_000]
);
main!(library_benchmark_groups = [codecs, hub]);
