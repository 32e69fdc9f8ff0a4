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
use crate::pause::Pause;

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
