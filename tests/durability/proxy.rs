//! A TCP proxy between one tablet and the daemon, whose connections can be cut or left half-open.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::way::{Door, NARROW, dial_from};

/// The proxy; every connection through it ends when it is dropped.
pub struct Proxy {
    pub door: Door,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

struct Shared {
    daemon: Door,
    from: Ipv4Addr,
    /// Whether it holds little back for a tablet that does not read.
    is_narrow: bool,
    is_down: AtomicBool,
    /// The fate of the connections that are open now; a later one gets another.
    fate: Mutex<watch::Sender<Fate>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Forwarded,
    /// Both ends see it end.
    Cut,
    /// The tablet sees it end; the daemon keeps it, and hears and tells nothing more.
    HalfOpen,
}

impl Proxy {
    /// To the daemon, with `from` as the address that it sees.
    pub async fn start(daemon: Door, from: Ipv4Addr, is_narrow: bool) -> Self {
        let listener = listen(is_narrow).expect("a port");
        let shared = Arc::new(Shared {
            daemon,
            from,
            is_narrow,
            is_down: AtomicBool::new(false),
            fate: Mutex::new(watch::Sender::new(Fate::Forwarded)),
        });
        let door = Door::new(listener.local_addr().expect("an address"));
        let accepting = tokio::spawn(accept(listener, shared.clone()));
        Self {
            door,
            shared,
            accepting,
        }
    }

    /// Ends every connection and lets none through until [`Proxy::mend`].
    pub fn cut(&self) {
        self.shared.is_down.store(true, Ordering::Relaxed);
        self.shared.decide(Fate::Cut);
    }

    pub fn mend(&self) {
        self.shared.is_down.store(false, Ordering::Relaxed);
    }

    /// The same, a while later.
    pub fn mend_after(&self, length: Duration) -> impl Future<Output = ()> + use<> {
        let shared = self.shared.clone();
        async move {
            tokio::time::sleep(length).await;
            shared.is_down.store(false, Ordering::Relaxed);
        }
    }

    /// Leaves every connection half-open; new ones come through.
    pub fn leave_half_open(&self) {
        self.shared.decide(Fate::HalfOpen);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Shared {
    fn decide(&self, fate: Fate) {
        let next = watch::Sender::new(Fate::Forwarded);
        let now = std::mem::replace(&mut *self.fate.lock().unwrap(), next);
        now.send_replace(fate);
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

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((near, _)) = listener.accept().await {
        let fate = shared.fate.lock().unwrap().subscribe();
        if !shared.is_down.load(Ordering::Relaxed) {
            tokio::spawn(forward(near, shared.clone(), fate));
        }
    }
}

async fn forward(mut near: TcpStream, shared: Arc<Shared>, mut fate: watch::Receiver<Fate>) {
    let _ = near.set_nodelay(true);
    let Ok(mut far) = dial_from(shared.from, shared.daemon.address(), shared.is_narrow).await
    else {
        return;
    };
    let decided = async {
        let decided = fate.wait_for(|fate| *fate != Fate::Forwarded).await;
        decided.is_ok_and(|fate| *fate == Fate::HalfOpen)
    };
    let is_half_open = tokio::select! {
        _ = copy_bidirectional(&mut near, &mut far) => false,
        is_half_open = decided => is_half_open,
    };
    drop(near);
    if is_half_open {
        // Held open until the test ends, and never read.
        std::future::pending::<()>().await;
    }
}
