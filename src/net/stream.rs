//! The bytes of a connection, whatever carries them: when the kernel last took some of them, and
//! the end of it when the peer takes none.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, Sleep, sleep};

use super::connection_limit::ConnectionPermit;
use local_tls::TlsStream;

/// How long a peer may take nothing of what is written to it.
const STALL: Duration = Duration::from_secs(30);
/// Bytes that the kernel keeps of what it could not send yet; it takes more once half of them is gone.
#[cfg(target_os = "linux")]
const UNSENT: u32 = 64 * 1024;

/// When the kernel last took bytes, so that a slow peer is told from a stalled one.
#[derive(Clone, Debug)]
pub struct Progress(Arc<Moments>);

#[derive(Debug)]
struct Moments {
    opened: Instant,
    /// Milliseconds from `opened` to the last bytes that were taken.
    last: AtomicU64,
    /// Whether the kernel took nothing the last time.
    is_stuck: AtomicBool,
}

impl Default for Progress {
    fn default() -> Self {
        Self(Arc::new(Moments {
            opened: Instant::now(),
            last: AtomicU64::new(0),
            is_stuck: AtomicBool::new(false),
        }))
    }
}

impl Progress {
    /// When bytes were last taken; when the connection was opened as long as none were.
    pub fn last(&self) -> Instant {
        self.0.opened + Duration::from_millis(self.0.last.load(Ordering::Relaxed))
    }

    /// Whether bytes wait that the kernel would not take.
    pub(crate) fn is_stuck(&self) -> bool {
        self.0.is_stuck.load(Ordering::Relaxed)
    }

    fn note(&self) {
        let passed = self.0.opened.elapsed().as_millis();
        let passed = u64::try_from(passed).unwrap_or(u64::MAX);
        self.0.last.store(passed, Ordering::Relaxed);
    }
}

/// A connection whose progress is noted, and which fails once its peer takes nothing for 30 s.
#[derive(Debug)]
pub struct Counted<T> {
    inner: T,
    progress: Progress,
    /// When the write that waits for the peer has waited too long.
    stalls_at: Option<Pin<Box<Sleep>>>,
    /// On TCP, its place among the accepted connections.
    permit: Option<Arc<ConnectionPermit>>,
}

/// An accepted connection.
#[derive(Debug)]
pub enum Stream {
    /// On the public listener.
    Tls(Box<TlsStream<Counted<TcpStream>>>),
    /// On the plain and ingress listeners.
    Plain(Counted<TcpStream>),
    /// On the command line's socket.
    Local(Counted<UnixStream>),
}

impl<T> Counted<T> {
    /// Wraps an accepted connection.
    pub fn new(inner: T, permit: Option<Arc<ConnectionPermit>>) -> Self {
        Self {
            inner,
            progress: Progress::default(),
            stalls_at: None,
            permit,
        }
    }

    /// The connection itself.
    pub fn get_ref(&self) -> &T {
        &self.inner
    }
}

impl Counted<TcpStream> {
    /// Wraps a connection that was just accepted.
    ///
    /// By itself the kernel takes megabytes for a slow peer and then nothing until a third of them
    /// is gone, so that one which takes a little all the time would look like one that takes nothing.
    pub fn accepted(tcp: TcpStream, permit: Option<Arc<ConnectionPermit>>) -> Self {
        #[cfg(target_os = "linux")]
        if let Err(error) = SockRef::from(&tcp).set_tcp_notsent_lowat(UNSENT) {
            tracing::debug!(%error, "TCP_NOTSENT_LOWAT could not be set");
        }
        Self::new(tcp, permit)
    }
}

impl Stream {
    /// Breaks the connection once its peer has acknowledged nothing of what was written for this
    /// long. For those that write and never hear back: the kernel would try for a quarter of an hour.
    pub fn give_up_after(&self, patience: Duration) {
        let tcp = match self {
            Self::Tls(stream) => &stream.get_ref().0.inner,
            Self::Plain(stream) => &stream.inner,
            Self::Local(_) => return,
        };
        #[cfg(target_os = "linux")]
        if let Err(error) = SockRef::from(tcp).set_tcp_user_timeout(Some(patience)) {
            tracing::debug!(%error, "TCP_USER_TIMEOUT could not be set");
        }
        #[cfg(not(target_os = "linux"))]
        let _ = (SockRef::from(tcp), patience);
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Counted<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Counted<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.watch(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(cx, bytes);
        self.watch(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl<T> Counted<T> {
    /// Notes what was written; what waits longer than [`STALL`] fails.
    fn watch(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let is_stuck = &self.progress.0.is_stuck;
        is_stuck.store(written.is_pending(), Ordering::Relaxed);
        if written.is_pending() {
            let stalls_at = self.stalls_at.get_or_insert_with(|| Box::pin(sleep(STALL)));
            return stalls_at
                .as_mut()
                .poll(cx)
                .map(|()| Err(io::ErrorKind::TimedOut.into()));
        }
        self.stalls_at = None;
        if let Poll::Ready(Ok(1..)) = written {
            self.progress.note();
        }
        written
    }
}

impl Stream {
    /// How much the peer has taken, for those who watch it.
    pub fn progress(&self) -> Progress {
        match self {
            Self::Tls(stream) => stream.get_ref().0.progress.clone(),
            Self::Plain(stream) => stream.progress.clone(),
            Self::Local(stream) => stream.progress.clone(),
        }
    }

    /// Its place among the accepted connections; none on the command line's socket.
    pub fn permit(&self) -> Option<Arc<ConnectionPermit>> {
        match self {
            Self::Tls(stream) => stream.get_ref().0.permit.clone(),
            Self::Plain(stream) => stream.permit.clone(),
            Self::Local(stream) => stream.permit.clone(),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Local(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Local(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bytes),
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bytes),
            Self::Local(stream) => Pin::new(stream).poll_write_vectored(cx, bytes),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tls(stream) => stream.is_write_vectored(),
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Local(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Local(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Local(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_nothing_ends_and_a_slow_one_does_not() {
        let (ours, mut theirs) = tokio::io::duplex(8);
        let mut ours = Counted::new(ours, None);
        let slow = tokio::spawn(async move {
            for _ in 0..10 {
                sleep(STALL - Duration::from_secs(1)).await;
                theirs.read_exact(&mut [0; 8]).await.unwrap();
            }
            theirs
        });
        ours.write_all(&[0; 88]).await.unwrap();
        let _silent = slow.await.unwrap();
        let last = ours.progress.last();
        let error = ours.write_all(&[0; 16]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(ours.progress.last(), last, "nothing was taken");
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_peer_that_acknowledges_nothing_is_given_up() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tcp, _) = tokio::join!(TcpStream::connect(address), listener.accept());
        let stream = Stream::Plain(Counted::new(tcp.unwrap(), None));
        let minute = Duration::from_secs(60);
        stream.give_up_after(minute);
        let Stream::Plain(counted) = &stream else {
            panic!("it is plain")
        };
        let kept = SockRef::from(&counted.inner).tcp_user_timeout().unwrap();
        assert_eq!(kept, Some(minute));
    }
}
