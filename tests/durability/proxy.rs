//! A TCP proxy between one tablet and the daemon. It can cut its connections or leave them half-open.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::connector::{Endpoint, NARROW, connect_from};

/// Dropping it stops accepting. Connections end with the test's runtime.
pub struct Proxy {
    pub endpoint: Endpoint,
    state: Arc<State>,
    accepting: JoinHandle<()>,
}

struct State {
    daemon: Endpoint,
    from: Ipv4Addr,
    /// Whether it has small socket buffers (see `NARROW`).
    is_narrow: bool,
    is_down: AtomicBool,
    /// The mode of the connections that are open now. Later connections get a new channel.
    mode: Mutex<watch::Sender<ProxyMode>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ProxyMode {
    Forwarded,
    /// Both ends are closed.
    Cut,
    /// The tablet's end is closed. The daemon's end stays open without any traffic.
    HalfOpen,
}

impl Proxy {
    /// Starts a proxy that connects to the daemon from the address `from`.
    pub async fn start(daemon: Endpoint, from: Ipv4Addr, is_narrow: bool) -> Self {
        let listener = listen(is_narrow).expect("a port");
        let state = Arc::new(State {
            daemon,
            from,
            is_narrow,
            is_down: AtomicBool::new(false),
            mode: Mutex::new(watch::Sender::new(ProxyMode::Forwarded)),
        });
        let endpoint = Endpoint::new(listener.local_addr().expect("an address"));
        let accepting = tokio::spawn(accept(listener, state.clone()));
        Self {
            endpoint,
            state,
            accepting,
        }
    }

    /// Closes every connection and forwards no new one until [`Proxy::restore`].
    pub fn cut(&self) {
        self.state.is_down.store(true, Ordering::Relaxed);
        self.state.set_mode(ProxyMode::Cut);
    }

    pub fn restore(&self) {
        self.state.is_down.store(false, Ordering::Relaxed);
    }

    /// Calls [`Proxy::restore`] after `length`.
    pub fn restore_after(&self, length: Duration) -> impl Future<Output = ()> + use<> {
        let state = self.state.clone();
        async move {
            tokio::time::sleep(length).await;
            state.is_down.store(false, Ordering::Relaxed);
        }
    }

    /// Leaves every connection half-open. New ones are forwarded.
    pub fn leave_half_open(&self) {
        self.state.set_mode(ProxyMode::HalfOpen);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl State {
    fn set_mode(&self, mode: ProxyMode) {
        let next = watch::Sender::new(ProxyMode::Forwarded);
        let now = std::mem::replace(&mut *self.mode.lock().unwrap(), next);
        now.send_replace(mode);
    }
}

fn listen(is_narrow: bool) -> std::io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    if is_narrow {
        socket.set_send_buffer_size(NARROW)?;
    }
    socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
    socket.listen(128)
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    while let Ok((near, _)) = listener.accept().await {
        let mode = state.mode.lock().unwrap().subscribe();
        if !state.is_down.load(Ordering::Relaxed) {
            tokio::spawn(forward(near, state.clone(), mode));
        }
    }
}

async fn forward(mut near: TcpStream, state: Arc<State>, mut mode: watch::Receiver<ProxyMode>) {
    let _ = near.set_nodelay(true);
    let Ok(mut far) = connect_from(state.from, state.daemon.address(), state.is_narrow).await
    else {
        return;
    };
    let changed = async {
        let changed = mode.wait_for(|mode| *mode != ProxyMode::Forwarded).await;
        changed.is_ok_and(|mode| *mode == ProxyMode::HalfOpen)
    };
    let is_half_open = tokio::select! {
        _ = copy_bidirectional(&mut near, &mut far) => false,
        is_half_open = changed => is_half_open,
    };
    drop(near);
    if is_half_open {
        // Keep the daemon's end open, unread, until the test ends.
        std::future::pending::<()>().await;
    }
}
