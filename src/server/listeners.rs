//! The listeners (`docs/protocol.md#listeners`). All are bound before the first connection is accepted; each accepts
//! in a task of its own.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, UnixListener};

use crate::app::App;
use crate::config::{Config, ControlPath};
use crate::http::ListenerKind;
use crate::net::{BoundAddresses, ConnectionLimit, MeteredStream};
use crate::server::conn;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;
/// The pause after a failed accept, usually because no file descriptors are left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A listener that could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error("cannot listen on {address} (option {option}): {source}")]
    Tcp {
        /// The option that contains the address.
        option: &'static str,
        address: SocketAddr,
        source: io::Error,
    },
    /// The command line's socket.
    #[error("cannot listen on wallcast.sock in {}: {source}", path.display())]
    Local {
        /// The data folder.
        path: PathBuf,
        source: io::Error,
    },
}

/// Every listener, bound and not yet accepting.
#[derive(Debug)]
pub struct Listeners {
    limit: ConnectionLimit,
    public: Vec<TcpListener>,
    ingress: Vec<TcpListener>,
    plain: Vec<TcpListener>,
    local: UnixListener,
}

impl Listeners {
    /// Binds the addresses of the options, and the command line's socket in the data folder.
    ///
    /// # Errors
    /// Names the address that cannot be bound and its option.
    pub fn bind(config: &Config) -> Result<Self, ListenError> {
        let local = bind_local(&config.data_dir).map_err(|source| ListenError::Local {
            path: config.data_dir.clone(),
            source,
        })?;
        Ok(Self {
            limit: ConnectionLimit::new(config),
            public: bind_all("listen", &config.listen)?,
            ingress: bind_all("ingress_listen", &config.ingress_listen)?,
            plain: bind_all("plain_listen", &config.plain_listen)?,
            local,
        })
    }

    pub fn bound(&self) -> BoundAddresses {
        let addresses = |listeners: &[TcpListener]| {
            listeners
                .iter()
                .filter_map(|listener| listener.local_addr().ok())
                .collect()
        };
        BoundAddresses {
            https: addresses(&self.public),
            ingress: addresses(&self.ingress),
            plain: addresses(&self.plain),
        }
    }

    /// Starts accepting. Goes on during shutdown, because polling clients open new connections to fetch their final
    /// events.
    pub fn serve(self, app: &Arc<App>) {
        let kinds = [
            (ListenerKind::Public, self.public),
            (ListenerKind::Ingress, self.ingress),
            (ListenerKind::Plain, self.plain),
        ];
        for (kind, listeners) in kinds {
            for listener in listeners {
                tokio::spawn(accept(app.clone(), listener, kind, self.limit.clone()));
            }
        }
        tokio::spawn(accept_local(app.clone(), self.local));
    }
}

async fn accept(app: Arc<App>, listener: TcpListener, kind: ListenerKind, limit: ConnectionLimit) {
    loop {
        match listener.accept().await {
            Ok((stream, address)) => {
                // Without a permit the connection is dropped here, which closes it.
                if let Some(permit) = limit.acquire(address.ip()) {
                    let stream = MeteredStream::accepted(stream, Some(permit));
                    // The TLS handshake runs in the connection's task, so a stalled one delays no other.
                    tokio::spawn(conn::serve_tcp(app.clone(), stream, address, kind));
                }
            }
            Err(error) => pause(&error).await,
        }
    }
}

async fn accept_local(app: Arc<App>, listener: UnixListener) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(conn::serve_local(app.clone(), stream));
            }
            Err(error) => pause(&error).await,
        }
    }
}

async fn pause(error: &io::Error) {
    tracing::warn!(%error, "cannot accept a connection");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}

fn bind_all(
    option: &'static str,
    addresses: &[SocketAddr],
) -> Result<Vec<TcpListener>, ListenError> {
    let mut listeners = Vec::new();
    for address in addresses {
        match bind(*address) {
            Ok(listener) => listeners.push(listener),
            // Without IPv6 the other addresses are served.
            Err(error) if address.is_ipv6() && has_no_ipv6(&error) && addresses.len() > 1 => {
                tracing::info!(%address, %error, "skipped address: this machine has no IPv6");
            }
            Err(source) => {
                return Err(ListenError::Tcp {
                    option,
                    address: *address,
                    source,
                });
            }
        }
    }
    Ok(listeners)
}

fn has_no_ipv6(error: &io::Error) -> bool {
    // 97 is EAFNOSUPPORT, which has no `ErrorKind`.
    matches!(
        error.kind(),
        io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported
    ) || error.raw_os_error() == Some(97)
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        // 0.0.0.0 and [::] are two listeners. Without this the second bind fails.
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Binds the command line's socket. This process holds the data folder's lock, so an existing socket file is stale
/// and is replaced. The new socket gets its name only after its permissions are set.
fn bind_local(data_dir: &Path) -> io::Result<UnixListener> {
    use std::os::unix::fs::PermissionsExt as _;
    let socket = ControlPath::in_folder(data_dir)?;
    let temporary = socket.as_path().with_extension("new");
    match std::fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&temporary)?;
    std::fs::set_permissions(&temporary, std::fs::Permissions::from_mode(0o600))?;
    std::fs::rename(&temporary, socket.as_path())?;
    Ok(listener)
}
