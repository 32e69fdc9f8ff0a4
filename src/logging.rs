//! Sets up logging: tracing to stderr, as text or JSON, never to stdout. It filters by target only;
//! secrets stay out because their types print `***`.

use std::io::{self, IsTerminal};

use tracing::{Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{
    Layer, Registry,
    filter::Targets,
    fmt::{self, MakeWriter},
    layer::SubscriberExt,
    util::{SubscriberInitExt, TryInitError},
};

use crate::config::LogFormat;

/// Libraries that log below `warn` only at level `trace`.
const QUIET_TARGETS: [&str; 7] = [
    "hyper",
    "hyper_util",
    "mio",
    "rustls",
    "tokio_rustls",
    "tokio_tungstenite",
    "tungstenite",
];

/// Installs the global log subscriber; fails if there already is one.
pub fn init(level: LevelFilter, format: LogFormat) -> Result<(), TryInitError> {
    let ansi = io::stderr().is_terminal();
    subscriber(level, format, ansi, io::stderr).try_init()
}

fn subscriber<W>(
    level: LevelFilter,
    format: LogFormat,
    ansi: bool,
    writer: W,
) -> impl Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    // If stderr is closed, the layer would report that with a print that panics and ends the
    // daemon.
    let lines = fmt::layer()
        .with_writer(writer)
        .with_ansi(ansi)
        .log_internal_errors(false);
    let lines = match format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    Registry::default().with(lines.with_filter(targets(level)))
}

fn targets(level: LevelFilter) -> Targets {
    let quiet = match level {
        LevelFilter::TRACE => LevelFilter::TRACE,
        level => level.min(LevelFilter::WARN),
    };
    Targets::new()
        .with_default(level)
        .with_targets(QUIET_TARGETS.map(|target| (target, quiet)))
}

#[cfg(test)]
mod tests {
    use std::{
        io::{self, Write},
        sync::{Arc, Mutex},
    };

    use tracing::level_filters::LevelFilter;

    use super::{LogFormat, subscriber};

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(level: LevelFilter, format: LogFormat) -> String {
        let sink = Sink::default();
        let writer = sink.clone();
        let log = subscriber(level, format, false, move || writer.clone());
        tracing::subscriber::with_default(log, || {
            tracing::info!(session = 7, "opened");
            tracing::debug!("detail");
            tracing::info!(target: "hyper::proto", "chatter");
            tracing::warn!(target: "rustls::conn", "odd");
        });
        String::from_utf8(sink.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn libraries_log_details_only_at_trace() {
        let info = logged(LevelFilter::INFO, LogFormat::Text);
        assert!(info.contains("opened") && info.contains("odd"), "{info}");
        assert!(
            !info.contains("detail") && !info.contains("chatter"),
            "{info}"
        );
        let error = logged(LevelFilter::ERROR, LogFormat::Text);
        assert_eq!(error, "");
        let debug = logged(LevelFilter::DEBUG, LogFormat::Text);
        assert!(
            debug.contains("detail") && !debug.contains("chatter"),
            "{debug}"
        );
        assert!(logged(LevelFilter::TRACE, LogFormat::Text).contains("chatter"));
    }

    #[test]
    fn json_format_is_one_object_per_line() {
        let log = logged(LevelFilter::INFO, LogFormat::Json);
        let first: serde_json::Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
        assert_eq!(first["message"], "opened");
        assert_eq!(first["session"], 7);
        assert_eq!(first["level"], "INFO");
    }
}
