//! Builds and connects every part of the server, starts the jobs and listeners, and stops them in order. Only the
//! command line imports this module.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use local_tls::{CertificateUpdater, Certificates};
use realtime_protocol::engineio;
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use wallcast_core::auth::{Signer, Subject};
use wallcast_core::hub::Hub;
use wallcast_core::idempotency::InFlight;
use wallcast_core::shutdown;
use wallcast_core::store::{self, DataFolder, OpenError, Store, StoreError};

use crate::app::App;
use crate::authentication::IngressAuthenticator;
use crate::board;
use crate::clients::presence;
use crate::config::{Config, OptionError};
use crate::entities::{self, Entities};
use crate::home::{self, HomeAssistant};
use crate::http::{ApiError, Response};
use crate::jobs;
use crate::keys::{self, KeyError};
use crate::messages;
use crate::net::{BoundAddresses, Engine, MAX_UNAUTHENTICATED_MESSAGE, SocketLimit};
use crate::pairing;
use crate::restore_notice;
use crate::retention::{self, RetentionLimits};
use crate::rooms;
use crate::server::{self, ListenError, Listeners};
use crate::system::System;

/// How long requests and sockets may take to finish after a stop signal. The whole stop takes at most 5 s
/// (`docs/protocol.md#shutdown`).
const DRAIN: Duration = Duration::from_secs(4);

/// Why the server does not start. Each text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder or its database cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error(transparent)]
    Tls(#[from] local_tls::TlsError),
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// The store failed after it was opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot listen for signals: {0}")]
    Signals(std::io::Error),
    /// An option that cannot be used, found after the options were loaded.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// Standard output, which carries the ready line.
    #[error("cannot write to standard output: {0}")]
    Output(std::io::Error),
}

impl StartError {
    /// Whether an option must be changed (exit code 2) rather than the environment (exit code 1).
    pub fn is_option(&self) -> bool {
        match self {
            Self::Option(_) | Self::Tls(local_tls::TlsError::OutsideLocalNames { .. }) => true,
            Self::Keys(error) => error.is_option(),
            _ => false,
        }
    }
}

/// A built server that is not listening yet.
struct Instance {
    app: Arc<App>,
    folder: DataFolder,
    stopper: shutdown::Stopper,
    updater: CertificateUpdater,
}

/// Runs the server until SIGTERM or SIGINT.
pub(crate) async fn run(config: Config) -> Result<(), StartError> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).map_err(StartError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(StartError::Signals)?;

    let folder = DataFolder::claim(&config.data_dir)?;
    let listeners = Listeners::bind(&config)?;
    let Instance {
        app,
        folder,
        stopper,
        updater,
    } = build(config, folder).await?;
    restore_notice::report(&app.store).await?;
    let bound = app.bound.get_or_init(|| listeners.bound()).clone();
    let stopped = app.shutdown.clone();
    tokio::spawn(async move { updater.run(async move { stopped.begun().await }).await });
    tokio::spawn(pairing::expiry::run(
        app.store.clone(),
        app.pairings.clone(),
    ));
    tokio::spawn(
        app.acks
            .clone()
            .run(app.store.clone(), app.shutdown.clone()),
    );
    tokio::spawn(
        app.first_uses
            .clone()
            .run(app.store.clone(), app.shutdown.clone()),
    );
    tokio::spawn(retention::run(
        app.store.clone(),
        RetentionLimits::new(&app.config),
        app.shutdown.clone(),
    ));
    tokio::spawn(board::built_in::run(
        app.store.clone(),
        app.hub.clone(),
        app.shutdown.clone(),
    ));
    tokio::spawn(jobs::expiry::run(app.clone()));
    tokio::spawn(home::run(app.home.clone(), app.shutdown.clone()));
    tokio::spawn(entities::run(
        app.entities.clone(),
        app.home.clone(),
        app.store.clone(),
        app.shutdown.clone(),
    ));
    tokio::spawn(jobs::ingress_check::run(app.clone()));
    tokio::spawn(home::board_status::run(
        app.home.clone(),
        app.store.clone(),
        app.shutdown.clone(),
    ));
    tokio::spawn(home::bus::run(
        app.home.clone(),
        app.hub.clone(),
        app.shutdown.clone(),
    ));
    if app.config.in_addon() {
        tokio::spawn(jobs::stdin::run(app.clone()));
    }
    tokio::spawn(home::mirror::run(
        app.home.clone(),
        app.store.clone(),
        app.shutdown.clone(),
    ));
    tokio::spawn(heartbeats(app.clone()));
    tokio::spawn(jobs::system_status::run(app.clone()));
    listeners.serve(&app);
    print_ready_line(&bound).map_err(StartError::Output)?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), data = %folder.path().display(), "started");

    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping");
    if !stopper.stop(DRAIN).await {
        tracing::warn!("some connections did not finish in time and were closed");
    }
    // The file of the command line's socket. If it cannot be removed, the next start replaces it.
    let _ = std::fs::remove_file(folder.socket());
    folder.remove_home_assistant_copy();
    if tokio::time::timeout(Duration::from_millis(900), app.store.clone().close())
        .await
        .is_err()
    {
        tracing::warn!("the database did not close in time; no answered request is lost");
    }
    Ok(())
}

/// Builds the server without listeners, for the command line while no daemon runs.
pub(crate) async fn offline(config: Config) -> Result<Offline, StartError> {
    let folder = DataFolder::claim(&config.data_dir)?;
    let Instance { app, folder, .. } = Box::pin(build(config, folder)).await?;
    Ok(Offline {
        app,
        _folder: folder,
    })
}

/// A server without listeners that only the command line uses.
#[derive(Debug)]
pub struct Offline {
    app: Arc<App>,
    // Holds the data folder's lock.
    _folder: DataFolder,
}

impl Offline {
    /// Answers one API request as the control socket of a running daemon would. Its changes are committed before it
    /// returns.
    pub async fn call(&self, request: hyper::Request<Full<Bytes>>) -> Response {
        match self.exchange(request).await {
            Ok(response) => response,
            Err(error) => {
                tracing::error!(%error, "no response to an offline request");
                ApiError::unavailable("Wallcast did not answer; try again")
                    .into_reply()
                    .into_response()
            }
        }
    }

    async fn exchange(
        &self,
        request: hyper::Request<Full<Bytes>>,
    ) -> Result<Response, Box<dyn std::error::Error + Send + Sync>> {
        let (ours, theirs) = UnixStream::pair()?;
        tokio::spawn(server::serve_local(self.app.clone(), theirs));
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(ours)).await?;
        tokio::spawn(connection);
        let (head, body) = sender.send_request(request).await?.into_parts();
        Ok(Response::from_parts(
            head,
            Full::new(body.collect().await?.to_bytes()),
        ))
    }
}

async fn build(config: Config, folder: DataFolder) -> Result<Instance, StartError> {
    let hub = Arc::new(Hub::new());
    let home = HomeAssistant::new(&config);
    let entities = Arc::new(Entities::new(hub.clone(), home.is_configured()));
    let store = Store::open(&folder, entities.clone())?;
    let signer = Signer::new(&keys::signing_key(&store).await?);
    let (certificates, updater) =
        Certificates::open(keys::certificate_setup(&config, &store).await?).await?;
    let (shutdown, stopper) = shutdown::channel();

    let (client_changes, client_receiver) = mpsc::unbounded_channel();
    let (person_changes, person_receiver) = mpsc::unbounded_channel();
    hub.on_presence(move |change| {
        let changes = match change.subject {
            Subject::User(_) => &person_changes,
            _ => &client_changes,
        };
        // The receiver is gone during shutdown.
        let _ = changes.send(change);
    });
    for _ in 0..tokio::runtime::Handle::current().metrics().num_workers() {
        let hub = hub.clone();
        tokio::spawn(async move { hub.run_dispatcher().await });
    }
    tokio::spawn(presence::run(store.clone(), hub.clone(), client_receiver));
    tokio::spawn(messages::presence::run(
        store.clone(),
        hub.clone(),
        person_receiver,
    ));
    let start = hub.clone();
    store
        .read_at_commit(move |_, last| {
            start.set_last_event(last);
            Ok::<_, StoreError>(())
        })
        .await?;
    rooms::end_interrupted_sessions(&store).await?;

    let app = Arc::new(App {
        signer,
        certificates,
        sockets: SocketLimit::new(
            config.max_connections,
            usize::try_from(config.connections_per_minute).unwrap_or(usize::MAX),
        ),
        engine: Engine::new(engineio::Config {
            max_payload: config.max_message_bytes,
            initial_max_payload: MAX_UNAUTHENTICATED_MESSAGE,
            ..engineio::Config::default()
        }),
        pairings: Arc::default(),
        first_uses: Arc::default(),
        acks: Arc::default(),
        expiry: Arc::default(),
        ingress: IngressAuthenticator::new(&config, home.clone()),
        home,
        entities,
        in_flight: InFlight::default(),
        system: System::start(),
        store,
        hub,
        shutdown,
        config,
        bound: OnceLock::new(),
    });
    Ok(Instance {
        app,
        folder,
        stopper,
        updater,
    })
}

async fn heartbeats(app: Arc<App>) {
    let mut ticks = tokio::time::interval(app.config.heartbeat);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    ticks.tick().await;
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                app.hub.heartbeat(app.store.epoch());
            }
            () = app.shutdown.begun() => return,
        }
    }
}

fn print_ready_line(bound: &BoundAddresses) -> std::io::Result<()> {
    use std::io::Write as _;
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{}", bound.ready_line())?;
    stdout.flush()
}

/// The result of checking the data folder.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub findings: Vec<Finding>,
}

#[derive(Debug)]
pub(crate) struct Finding {
    /// One line.
    pub text: String,
    /// Whether the server can start with it.
    pub is_sound: bool,
}

/// Checks the data folder without changing it.
pub(crate) fn check(config: &Config) -> Report {
    let finding = match store::inspect(&config.data_dir) {
        Ok(text) => Finding {
            text,
            is_sound: true,
        },
        Err(error) => Finding {
            text: error.to_string(),
            is_sound: false,
        },
    };
    Report {
        findings: vec![finding],
    }
}
