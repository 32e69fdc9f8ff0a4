//! Compares servers. It starts one server at a time on one core. A fleet of simulated tablets on another core
//! opens TLS sockets to it, and events are published through the server's HTTP API.
//!
//! Run it with `make bench`. Compare only ratios within one run: absolute numbers depend on the machine.

mod chart;
mod clock;
mod disk;
mod durable;
mod ephemeral;
mod growth;
mod handshakes;
mod home_assistant;
mod http;
mod latency;
mod machine;
mod process;
mod publisher;
mod report;
mod round;
mod sample;
mod setup;
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

/// Any error ends the whole benchmark with its message.
type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[derive(Parser)]
#[command(about = "Measure the cost of many tablets for Wallcast and other servers")]
struct Flags {
    /// The folder with the programs: wallcast, limit, socketioxide
    #[arg(long, global = true, default_value = "target/release")]
    programs: PathBuf,
    /// A Markdown page whose section for this benchmark is replaced with the result
    #[arg(long, global = true)]
    report: Option<PathBuf>,
    #[command(subcommand)]
    benchmark: Benchmark,
}

#[derive(Subcommand)]
enum Benchmark {
    /// Compare Wallcast with the minimal server `limit` and with other servers
    Compare(Compare),
    /// Costs by the number of clients, stored events and missed events
    Growth,
    /// Cost of reconnects with full and with resumed TLS handshakes
    Handshakes,
    /// Latency and rate of durable changes
    Durable,
    /// Latency for one tablet, with and without broadcasts to thousands of others
    Ephemeral,
    /// Sizes of the static binaries
    Weight,
}

#[derive(Args)]
struct Compare {
    /// Servers to measure, in this order
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "limit,wallcast-json,wallcast-socketio,wallcast-ephemeral,socketioxide,socketio-node"
    )]
    servers: Vec<Subject>,
    /// Numbers of sockets, one measurement for each
    #[arg(long, value_delimiter = ',', default_value = "100,1000,5000")]
    sockets: Vec<usize>,
    /// Repetitions of each measurement; the table shows medians
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Deliveries per measurement of the cost of a delivery
    #[arg(long, default_value_t = 200_000)]
    deliveries: usize,
    /// Seconds of events per measurement of latency
    #[arg(long, default_value_t = 5)]
    latency_seconds: u64,
    /// A file to which every sample is appended as a line of JSON
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
    let machine = match flags.benchmark {
        Benchmark::Weight => machine::compiler(),
        _ => machine::describe(&flags.programs),
    };
    process::pin_to(process::LOAD_CORE)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (name, text, charts) = runtime.block_on(async {
        Outcome::Ok(match &flags.benchmark {
            Benchmark::Compare(compare) => {
                let samples = compare.run(&flags.programs).await?;
                let deliveries = table::deliveries(&samples);
                let text = format!(
                    "{}\n{}",
                    table::markdown(&samples),
                    table::growth(&deliveries)
                );
                ("compare", text, vec![deliveries])
            }
            Benchmark::Growth => {
                let charts = growth::measure(&flags.programs).await?;
                ("growth", table::charts_markdown(&charts), charts)
            }
            Benchmark::Handshakes => {
                let text = handshakes::measure(&flags.programs).await?;
                ("handshakes", text, Vec::new())
            }
            Benchmark::Durable => {
                let text = durable::measure(&flags.programs).await?;
                ("durable", text, Vec::new())
            }
            Benchmark::Ephemeral => {
                let text = ephemeral::measure(&flags.programs).await?;
                ("ephemeral", text, Vec::new())
            }
            Benchmark::Weight => ("weight", weight::measure()?, Vec::new()),
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
                    eprintln!("  {:.2} µs per delivery", sample.delivery);
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
