//! Renders the metrics in Prometheus's text format 0.0.4 (`docs/protocol.md#metrics`).

use std::fmt::{Display, Write as _};

use wallcast_core::event::{Namespace, Topic};

use crate::app::App;

pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Renders the current values of all metrics.
pub(super) fn render(app: &App) -> String {
    let vitals = app.system_health();
    let totals = app.hub.metrics().totals();
    let (percentiles, deliveries) = (
        app.hub.metrics().percentiles(),
        app.hub.metrics().deliveries(),
    );
    let mut page = MetricsPage::default();

    page.family("wallcast_build_info", "gauge", "The version of Wallcast.")
        .sample("", &[("version", env!("CARGO_PKG_VERSION"))], 1);
    page.family(
        "process_start_time_seconds",
        "gauge",
        "When the process started, in Unix time.",
    )
    .sample("", &[], app.system.started_at().unix_seconds());
    page.family(
        "process_resident_memory_bytes",
        "gauge",
        "Resident memory of the process.",
    )
    .sample("", &[], vitals.memory);
    page.family(
        "wallcast_store_writable",
        "gauge",
        "1 if the store can be written, otherwise 0.",
    )
    .sample("", &[], u8::from(vitals.is_writable));

    page.family(
        "wallcast_sockets",
        "gauge",
        "Open sockets, authenticated or not.",
    )
    .sample("", &[], vitals.sockets);
    page.family(
        "wallcast_sockets_max",
        "gauge",
        "Maximum number of open sockets.",
    )
    .sample("", &[], vitals.max_sockets);
    page.family(
        "wallcast_principals",
        "gauge",
        "Principals with at least one session, without tablets that wait to be paired.",
    )
    .sample("", &[], app.hub.principal_count());
    page.family("wallcast_sessions", "gauge", "Open sessions by namespace.");
    for namespace in Namespace::ALL {
        let open = app.hub.subscriber_count(&Topic::Namespace(namespace));
        page.sample("", &[("namespace", namespace.path())], open);
    }
    page.family(
        "wallcast_sessions_opened_total",
        "counter",
        "Sessions opened since the start.",
    )
    .sample("", &[], totals.sessions);

    page.family(
        "wallcast_messages_sent_total",
        "counter",
        "Messages sent to sessions.",
    )
    .sample("", &[], totals.sent);
    page.family(
        "wallcast_messages_received_total",
        "counter",
        "Messages received from sessions.",
    )
    .sample("", &[], totals.received);
    page.family(
        "wallcast_events_total",
        "counter",
        "Events published, by durability.",
    )
    .sample("", &[("durable", "true")], totals.durable)
    .sample("", &[("durable", "false")], totals.ephemeral);
    page.family(
        "wallcast_last_event_id",
        "gauge",
        "The id of the newest durable event.",
    )
    .sample("", &[], app.hub.last_event());
    page.family(
        "wallcast_delivery_seconds",
        "summary",
        "Time from an event's commit until the kernel has its last byte; quantiles of the last 10000 deliveries.",
    );
    for (quantile, ms) in [
        ("0.5", percentiles.median),
        ("0.95", percentiles.p95),
        ("0.99", percentiles.p99),
    ] {
        page.sample("", &[("quantile", quantile)], ms / 1000.0);
    }
    page.sample("_sum", &[], deliveries.total.as_secs_f64())
        .sample("_count", &[], deliveries.count);
    page.text
}

/// Collects the lines of the page.
#[derive(Default)]
struct MetricsPage {
    text: String,
    family: &'static str,
}

impl MetricsPage {
    /// Starts a metric family. `help` is not escaped, so it must not contain backslashes or line breaks.
    fn family(&mut self, name: &'static str, metric_type: &str, help: &str) -> &mut Self {
        self.family = name;
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {metric_type}"));
        self
    }

    /// Adds a sample to the family. Label values are not escaped, so they must not contain quotes, backslashes or line
    /// breaks.
    fn sample(&mut self, suffix: &str, labels: &[(&str, &str)], value: impl Display) -> &mut Self {
        let labels: Vec<_> = labels
            .iter()
            .map(|(name, value)| format!("{name}=\"{value}\""))
            .collect();
        let family = self.family;
        if labels.is_empty() {
            self.line(format_args!("{family}{suffix} {value}"));
        } else {
            let labels = labels.join(",");
            self.line(format_args!("{family}{suffix}{{{labels}}} {value}"));
        }
        self
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "{line}");
    }
}
