//! `wallcast watch`: a terminal client. It connects as any client does, prints what it is told, and comes back after a drop.
//! It never puts a token into a URL, an argument or its output.

mod address;
mod connect;
mod ending;
mod print;
mod token;

use std::{path::PathBuf, time::Duration};

use clap::Args;
use futures_util::StreamExt;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

use self::{
    address::{Address, Position},
    connect::{Connector, Socket},
    ending::{Ending, after_close},
    print::{Frame, Printer},
};
use super::{CliError, api::block_on, output};
use crate::config::Environment;

#[derive(Args)]
pub(super) struct Watch {
    /// Where Wallcast listens: a host name, or an address such as wss://homeassistant.local:8443/ws/help
    url: Address,
    /// File that holds the token, or - for standard input; without it the environment's WALLCAST_TOKEN counts
    #[arg(long, value_name = "FILE|-")]
    token_file: Option<PathBuf>,
    /// Certificate authority to trust besides the system's: what Wallcast serves at /ca.crt
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Print each frame as it came
    #[arg(long)]
    json: bool,
}

/// The server pings every 54 s; twice that and nothing heard is a dead line.
const LONGEST_SILENCE: Duration = Duration::from_secs(110);

impl Watch {
    pub(super) fn run(self, environment: &Environment) -> Result<(), CliError> {
        let token = token::read(self.token_file.as_deref(), environment)?;
        let connector = Connector::new(self.url, token, self.ca.as_deref())?;
        let printer = if self.json {
            Printer::Raw
        } else {
            Printer::Lines
        };
        block_on(async {
            tokio::select! {
                ended = follow(&connector, printer) => ended,
                _ = tokio::signal::ctrl_c() => Ok(()),
            }
        })?
    }
}

/// Connects and prints until it must not come back. A first connection that fails ends it: the address is likely wrong.
async fn follow(connector: &Connector, printer: Printer) -> Result<(), CliError> {
    let mut position = Position::default();
    let mut pause = Pause::default();
    let mut was_connected = false;
    loop {
        let why = match Box::pin(connector.connect(&position)).await {
            Ok(mut socket) => {
                was_connected = true;
                output::note(&format!("connected to {}", connector.address()));
                match listen(&mut socket, printer, &mut position, &mut pause).await? {
                    Ending::ComeBack(why) => why,
                    Ending::Final(why) => return Err(CliError::Failed(why)),
                }
            }
            Err(error) if was_connected && error.is_passing() => error.to_string(),
            Err(error) => return Err(CliError::Failed(error.to_string())),
        };
        let wait = pause.next();
        output::note(&format!(
            "{why}; trying again in {:.1} s",
            wait.as_secs_f64()
        ));
        tokio::time::sleep(wait).await;
    }
}

/// Prints one connection to its end.
async fn listen(
    socket: &mut Socket,
    printer: Printer,
    position: &mut Position,
    pause: &mut Pause,
) -> Result<Ending, CliError> {
    loop {
        let Ok(next) = tokio::time::timeout(LONGEST_SILENCE, socket.next()).await else {
            let seconds = LONGEST_SILENCE.as_secs();
            return Ok(Ending::ComeBack(format!("nothing heard for {seconds} s")));
        };
        match next {
            Some(Ok(Message::Text(text))) => {
                let frame = Frame::parse(&text);
                position.advance(&frame);
                pause.reset(frame.reconnect_after());
                printer.print(&text, &frame)?;
            }
            Some(Ok(Message::Close(close))) => return Ok(after_close(close)),
            // Pings are answered by the library; we are sent no binary frames.
            Some(Ok(_)) => {}
            None | Some(Err(WsError::ConnectionClosed)) => return Ok(after_close(None)),
            Some(Err(error)) => return Ok(Ending::ComeBack(format!("connection lost: {error}"))),
        }
    }
}

/// The time between two attempts: doubling, jittered so that a house of clients does not return at once.
#[derive(Default)]
struct Pause {
    attempts: u32,
    asked_for: Duration,
}

impl Pause {
    const FIRST_MS: u64 = 1_000;
    const LONGEST_MS: u64 = 30_000;

    /// The line works again; a server about to leave says how long it wants to be left alone.
    fn reset(&mut self, asked_for: Option<Duration>) {
        self.attempts = 0;
        self.asked_for = asked_for.unwrap_or_default();
    }

    fn next(&mut self) -> Duration {
        let full = (Self::FIRST_MS << self.attempts.min(5)).min(Self::LONGEST_MS);
        self.attempts += 1;
        let half = full / 2;
        // Without randomness the full pause is a fair choice.
        let jitter = getrandom::u32().map_or(half, |random| u64::from(random) % (half + 1));
        let asked_for = std::mem::take(&mut self.asked_for);
        let asked_for = asked_for.min(Duration::from_millis(Self::LONGEST_MS));
        asked_for + Duration::from_millis(half + jitter)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Pause;

    #[test]
    fn pauses_grow_to_a_bound_and_start_anew() {
        let mut pause = Pause::default();
        for full in [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000] {
            let wait = pause.next();
            let (least, most) = (Duration::from_millis(full / 2), Duration::from_millis(full));
            assert!(wait >= least && wait <= most, "{wait:?} of {full}");
        }
        pause.reset(Some(Duration::from_secs(5)));
        let asked = pause.next();
        assert!(asked >= Duration::from_millis(5_500) && asked <= Duration::from_secs(6));
        assert!(pause.next() <= Duration::from_secs(2), "asked for once");
    }
}
