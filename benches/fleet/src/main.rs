//! Measures servers side by side: each in turn is started on a core of its own, a fleet of tablets
//! on another core opens TLS sockets to it, and events are published through its own API.
//!
//! `make bench` runs it and prints the table. Ratios within one run count; absolute figures are this
//! machine's.

mod chart;
mod clock;
mod core;
mod disk;
mod durable;
mod ephemeral;
mod growth;
mod handshakes;
mod house;
mod http;
mod latency;
mod machine;
mod process;
mod publisher;
mod report;
mod round;
mod sample;
mod subject;
mod table;
mod tablet;
mod weight;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::round::Round;
use crate::sample::Sample;
use crate::subject::Subject;

/// What fails here fails the whole bench, in words.
type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[derive(Parser)]
#[command(about = "Measure what a fleet of tablets costs Wallcast and its peers")]
struct Flags {
    /// The folder with the programs: wallcast, limit, socketioxide
    #[arg(long, global = true, default_value = "target/release")]
    programs: PathBuf,
    /// A page whose part of the same name is replaced by what was measured
    #[arg(long, global = true)]
    report: Option<PathBuf>,
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Wallcast beside the bare limit and its peers
    Compare(Compare),
    /// Wallcast as a house grows
    Growth,
    /// What it costs that tablets come back, by full and by resumed handshakes
    Handshakes,
    /// How quickly a durable change is told
    Durable,
    /// How quickly one tablet is told, also while thousands of others are
    Ephemeral,
    /// What the static binaries weigh
    Weight,
}

#[derive(Args)]
struct Compare {
    /// Servers to measure, in this order
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "limit,wallcast-json,wallcast-socketio,wallcast-ephemeral,socketioxide,seed0"
    )]
    servers: Vec<Subject>,
    /// SocketLimit to open, one measurement for each number
    #[arg(long, value_delimiter = ',', default_value = "100,1000,5000")]
    sockets: Vec<usize>,
    /// How often each measurement is repeated; the table shows medians
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Deliveries that one measurement of the cost of a delivery takes
    #[arg(long, default_value_t = 200_000)]
    deliveries: usize,
    /// Seconds of events by which latency is measured
    #[arg(long, default_value_t = 5)]
    latency_seconds: u64,
    /// Where to write every sample as one JSON object a line
    #[arg(long)]
    samples: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Flags::parse()) {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(flags: &Flags) -> Outcome<String> {
    process::allow_many_files()?;
    let machine = match flags.what {
        What::Weight => machine::compiler(),
        _ => machine::describe(&flags.programs),
    };
    process::pin_to(process::LOAD_CORE)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (name, text, charts) = runtime.block_on(async {
        Outcome::Ok(match &flags.what {
            What::Compare(compare) => {
                let samples = compare.run(&flags.programs).await?;
                let deliveries = table::deliveries(&samples);
                let text = format!("{}\n{}", table::of(&samples), table::growth(&deliveries));
                ("compare", text, vec![deliveries])
            }
            What::Growth => {
                let charts = growth::measure(&flags.programs).await?;
                ("growth", table::of_charts(&charts), charts)
            }
            What::Handshakes => {
                let text = handshakes::measure(&flags.programs).await?;
                ("handshakes", text, Vec::new())
            }
            What::Durable => {
                let text = durable::measure(&flags.programs).await?;
                ("durable", text, Vec::new())
            }
            What::Ephemeral => {
                let text = ephemeral::measure(&flags.programs).await?;
                ("ephemeral", text, Vec::new())
            }
            What::Weight => ("weight", weight::measure()?, Vec::new()),
        })
    })?;
    let text = format!("{}\n\n{machine}\n", text.trim());
    if let Some(page) = &flags.report {
        report::put(page, name, &text, &charts)?;
    }
    Ok(text)
}

impl Compare {
    async fn run(&self, programs: &Path) -> Outcome<Vec<Sample>> {
        let mut samples: Vec<Sample> = Vec::new();
        for number in 1..=self.rounds {
            for &sockets in &self.sockets {
                for &subject in &self.servers {
                    eprintln!("round {number}: {subject}, {sockets} sockets");
                    let round = Round {
                        subject,
                        sockets,
                        deliveries: self.deliveries,
                        latency_seconds: self.latency_seconds,
                        programs: programs.to_owned(),
                    };
                    let sample = round.run().await?;
                    eprintln!("  {:.2} µs a delivery", sample.delivery);
                    if let Some(path) = &self.samples {
                        sample.append_to(path)?;
                    }
                    samples.push(sample);
                }
            }
        }
        Ok(samples)
    }
}
