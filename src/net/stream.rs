//! The byte streams of accepted connections: TLS, plain TCP or Unix. Records when the kernel last took bytes, and
//! fails a write that the peer blocks for too long.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use local_tls::TlsStream;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, Sleep, sleep};

use super::connection_limit::ConnectionPermit;

/// A write fails once the peer has taken nothing for this long.
const STALL: Duration = Duration::from_secs(30);
/// Unsent bytes that the kernel buffers; it takes more once half of them is sent.
#[cfg(target_os = "linux")]
const NOTSENT_LOWAT: u32 = 64 * 1024;

/// When the kernel last took bytes, to distinguish a slow peer from a stalled one. Cheap to clone.
#[derive(Clone, Debug)]
pub struct WriteProgress(Arc<WriteProgressState>);

#[derive(Debug)]
struct WriteProgressState {
    opened: Instant,
    /// Milliseconds from `opened` to the last write that the kernel took.
    last: AtomicU64,
    /// Whether the kernel refused the last write.
    is_blocked: AtomicBool,
}

impl Default for WriteProgress {
    fn default() -> Self {
        Self(Arc::new(WriteProgressState {
            opened: Instant::now(),
            last: AtomicU64::new(0),
            is_blocked: AtomicBool::new(false),
        }))
    }
}

impl WriteProgress {
    /// When the kernel last took bytes; until then, when the connection was opened.
    pub fn last_write(&self) -> Instant {
        self.0.opened + Duration::from_millis(self.0.last.load(Ordering::Relaxed))
    }

    /// Whether the kernel refused the last write.
    pub(crate) fn is_blocked(&self) -> bool {
        self.0.is_blocked.load(Ordering::Relaxed)
    }

    fn record_write(&self) {
        let passed = self.0.opened.elapsed().as_millis();
        let passed = u64::try_from(passed).unwrap_or(u64::MAX);
        self.0.last.store(passed, Ordering::Relaxed);
    }
}

/// A stream that records its write progress and fails once its peer takes nothing for 30 s.
#[derive(Debug)]
pub struct MeteredStream<T> {
    inner: T,
    progress: WriteProgress,
    /// Runs while a write waits for the peer.
    stall_timer: Option<Pin<Box<Sleep>>>,
    /// Set on TCP; counts the connection until the stream is dropped.
    permit: Option<Arc<ConnectionPermit>>,
}

/// An accepted connection.
#[derive(Debug)]
pub enum Stream {
    /// From the public listener.
    Tls(Box<TlsStream<MeteredStream<TcpStream>>>),
    /// From the plain and ingress listeners.
    Plain(MeteredStream<TcpStream>),
    /// From the command line's socket.
    Local(MeteredStream<UnixStream>),
}

impl<T> MeteredStream<T> {
    pub fn new(inner: T, permit: Option<Arc<ConnectionPermit>>) -> Self {
        Self {
            inner,
            progress: WriteProgress::default(),
            stall_timer: None,
            permit,
        }
    }

    pub fn get_ref(&self) -> &T {
        &self.inner
    }
}

impl MeteredStream<TcpStream> {
    /// Wraps a TCP connection that was just accepted, and limits the kernel's send buffer.
    ///
    /// By default the kernel buffers megabytes for a slow peer and then takes nothing until a third of them is
    /// sent. A slow peer would look like a stalled one.
    pub fn accepted(tcp: TcpStream, permit: Option<Arc<ConnectionPermit>>) -> Self {
        #[cfg(target_os = "linux")]
        if let Err(error) = SockRef::from(&tcp).set_tcp_notsent_lowat(NOTSENT_LOWAT) {
            tracing::debug!(%error, "cannot set TCP_NOTSENT_LOWAT");
        }
        Self::new(tcp, permit)
    }
}

impl Stream {
    /// Breaks the connection once the peer has acknowledged no written bytes for `timeout` (TCP_USER_TIMEOUT). For
    /// streams that only write; the kernel's own limit is about a quarter of an hour.
    pub fn set_user_timeout(&self, timeout: Duration) {
        let tcp = match self {
            Self::Tls(stream) => &stream.get_ref().0.inner,
            Self::Plain(stream) => &stream.inner,
            Self::Local(_) => return,
        };
        #[cfg(target_os = "linux")]
        if let Err(error) = SockRef::from(tcp).set_tcp_user_timeout(Some(timeout)) {
            tracing::debug!(%error, "cannot set TCP_USER_TIMEOUT");
        }
        #[cfg(not(target_os = "linux"))]
        let _ = (SockRef::from(tcp), timeout);
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for MeteredStream<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for MeteredStream<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.record(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(cx, bytes);
        self.record(cx, written)
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

impl<T> MeteredStream<T> {
    /// Records the result of a write. A write that waits longer than [`STALL`] fails.
    fn record(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let is_blocked = &self.progress.0.is_blocked;
        is_blocked.store(written.is_pending(), Ordering::Relaxed);
        if written.is_pending() {
            let stall_timer = self
                .stall_timer
                .get_or_insert_with(|| Box::pin(sleep(STALL)));
            return stall_timer
                .as_mut()
                .poll(cx)
                .map(|()| Err(io::ErrorKind::TimedOut.into()));
        }
        self.stall_timer = None;
        if let Poll::Ready(Ok(1..)) = written {
            self.progress.record_write();
        }
        written
    }
}

impl Stream {
    /// The write progress, which stays readable while something else owns the stream.
    pub fn progress(&self) -> WriteProgress {
        match self {
            Self::Tls(stream) => stream.get_ref().0.progress.clone(),
            Self::Plain(stream) => stream.progress.clone(),
            Self::Local(stream) => stream.progress.clone(),
        }
    }

    /// The connection's permit; none on the command line's socket.
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
    async fn write_to_stalled_peer_times_out_but_slow_peer_does_not() {
        let (ours, mut theirs) = tokio::io::duplex(8);
        let mut ours = MeteredStream::new(ours, None);
        let slow = tokio::spawn(async move {
            for _ in 0..10 {
                sleep(STALL - Duration::from_secs(1)).await;
                theirs.read_exact(&mut [0; 8]).await.unwrap();
            }
            theirs
        });
        ours.write_all(&[0; 88]).await.unwrap();
        let _silent = slow.await.unwrap();
        let last = ours.progress.last_write();
        let error = ours.write_all(&[0; 16]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(ours.progress.last_write(), last, "the peer took nothing");
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn set_user_timeout_sets_the_socket_option() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tcp, _) = tokio::join!(TcpStream::connect(address), listener.accept());
        let stream = Stream::Plain(MeteredStream::new(tcp.unwrap(), None));
        let minute = Duration::from_secs(60);
        stream.set_user_timeout(minute);
        let Stream::Plain(metered) = &stream else {
            panic!("not a plain stream")
        };
        let timeout = SockRef::from(&metered.inner).tcp_user_timeout().unwrap();
        assert_eq!(timeout, Some(minute));
    }
}
