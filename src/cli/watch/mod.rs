//! `wallcast watch`: a terminal client. Connects like any client, prints the events, and reconnects
//! after a disconnection. It never puts the token into a URL, an argument or its output.

mod address;
mod close;
mod connect;
mod print;
mod token;

use std::{path::PathBuf, time::Duration};

use clap::Args;
use futures_util::StreamExt;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

use self::{
    address::{LastPosition, ServerAddress},
    close::{AfterClose, after_close},
    connect::{Connector, ServerSocket},
    print::{Printer, ServerFrame},
};
use super::{CliError, api::block_on, output};
use crate::config::Environment;
use crate::pause::Pause;

#[derive(Args)]
pub(super) struct WatchCommand {
    /// Address of Wallcast: a host name, or a URL such as wss://homeassistant.local:8443/ws/help
    url: ServerAddress,
    /// File with the token, or - for standard input; without it, WALLCAST_TOKEN from the
    /// environment is used
    #[arg(long, value_name = "FILE|-")]
    token_file: Option<PathBuf>,
    /// Certificate authority to trust besides the system's: the file that Wallcast serves at
    /// /ca.crt
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Print each frame as received
    #[arg(long)]
    json: bool,
}

/// The server pings every 54 s: after about two intervals without a frame the connection is dead.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(110);

impl WatchCommand {
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
                result = watch(&connector, printer) => result,
                _ = tokio::signal::ctrl_c() => Ok(()),
            }
        })?
    }
}

/// Connects, prints and reconnects until the server ends it for good. If the first connection
/// fails, the command ends, because the address is likely wrong.
async fn watch(connector: &Connector, printer: Printer) -> Result<(), CliError> {
    let mut position = LastPosition::default();
    let mut pause = Pause::default();
    let mut was_connected = false;
    loop {
        let reason = match Box::pin(connector.connect(&position)).await {
            Ok(mut socket) => {
                was_connected = true;
                output::note(&format!("connected to {}", connector.address()));
                match print_events(&mut socket, printer, &mut position, &mut pause).await? {
                    AfterClose::Reconnect(reason) => reason,
                    AfterClose::Stop(reason) => return Err(CliError::Failed(reason)),
                }
            }
            Err(error) if was_connected && error.is_temporary() => error.to_string(),
            Err(error) => return Err(CliError::Failed(error.to_string())),
        };
        let wait = pause.next();
        output::note(&format!(
            "{reason}; trying again in {:.1} s",
            wait.as_secs_f64()
        ));
        tokio::time::sleep(wait).await;
    }
}

/// Prints the frames of one connection until it ends.
async fn print_events(
    socket: &mut ServerSocket,
    printer: Printer,
    position: &mut LastPosition,
    pause: &mut Pause,
) -> Result<AfterClose, CliError> {
    loop {
        let Ok(next) = tokio::time::timeout(SILENCE_TIMEOUT, socket.next()).await else {
            let seconds = SILENCE_TIMEOUT.as_secs();
            return Ok(AfterClose::Reconnect(format!(
                "nothing received for {seconds} s"
            )));
        };
        match next {
            Some(Ok(Message::Text(text))) => {
                let frame = ServerFrame::parse(&text);
                position.advance(&frame);
                pause.reset(frame.reconnect_after());
                printer.print(&text, &frame)?;
            }
            Some(Ok(Message::Close(close))) => return Ok(after_close(close)),
            // The library answers pings; the server sends no binary frames.
            Some(Ok(_)) => {}
            None | Some(Err(WsError::ConnectionClosed)) => return Ok(after_close(None)),
            Some(Err(error)) => {
                return Ok(AfterClose::Reconnect(format!("connection lost: {error}")));
            }
        }
    }
}
