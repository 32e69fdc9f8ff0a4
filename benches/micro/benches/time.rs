//! Times the codecs, the hub's fan-out and the store's commit: `cargo bench -p micro --bench time`.

use std::sync::Arc;

use divan::{Bencher, black_box};
use tempfile::TempDir;
use wallcast_core::event::Namespace;
use wallcast_core::hub::Hub;
use wallcast_core::store::{DataFolder, Store, StoreError};

fn main() {
    divan::main();
}

#[divan::bench]
fn encode_json(bencher: Bencher<'_, '_>) {
    bencher
        .with_inputs(micro::event)
        .bench_refs(|event| black_box(event.as_json()));
}

#[divan::bench]
fn encode_socketio(bencher: Bencher<'_, '_>) {
    bencher
        .with_inputs(micro::event)
        .bench_refs(|event| black_box(event.as_socketio(Namespace::Main)));
}

#[divan::bench]
fn encode_sse(bencher: Bencher<'_, '_>) {
    bencher
        .with_inputs(micro::event)
        .bench_refs(|event| black_box(event.as_sse()));
}

#[divan::bench]
fn decode_socketio(bencher: Bencher<'_, '_>) {
    let mut decoder = micro::decoder();
    bencher
        .with_inputs(micro::frame)
        .bench_local_values(|frame| black_box(decoder.decode(frame)).is_ok());
}

/// Publishes to `subscribers` of 10,000 sessions, whose queues are drained between publications.
#[divan::bench(args = [1, 100, 10_000])]
fn fan_out(bencher: Bencher<'_, '_>, subscribers: usize) {
    let fixture = micro::hub_with_sessions(10_000, subscribers);
    bencher
        .with_inputs(|| {
            for session in &fixture.sessions {
                session.outbox().drain(usize::MAX);
            }
            micro::event()
        })
        .bench_local_values(|event| assert_eq!(fixture.hub.publish(event), subscribers));
}

#[divan::bench]
fn commit(bencher: Bencher<'_, '_>) {
    let (_folder, store) = store();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    bencher.bench_local(|| {
        runtime.block_on(store.write(|tx| {
            tx.publish(micro::change())?;
            Ok::<_, StoreError>(())
        }))
    });
}

/// A store in a temporary folder.
fn store() -> (TempDir, Store) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = DataFolder::claim(folder.path()).expect("the folder is ours");
    let store = Store::open(&data, Arc::new(Hub::new())).expect("a new store opens");
    (folder, store)
}
