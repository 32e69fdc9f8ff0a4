//! The bytes of a connection, whatever carries them, and how many of them the kernel has taken.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::server::TlsStream;

/// How many bytes the kernel has taken, so that a slow peer is told from a stalled one.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<Written>);

#[derive(Debug, Default)]
struct Written {
    bytes: AtomicU64,
    /// Whether the kernel took nothing the last time.
    is_stuck: AtomicBool,
}

impl Progress {
    /// Bytes so far.
    pub fn bytes(&self) -> u64 {
        self.0.bytes.load(Ordering::Relaxed)
    }

    /// Whether bytes wait that the kernel would not take.
    pub(super) fn is_stuck(&self) -> bool {
        self.0.is_stuck.load(Ordering::Relaxed)
    }
}

/// A connection whose written bytes are counted.
#[derive(Debug)]
pub struct Counted<T> {
    inner: T,
    progress: Progress,
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
    pub fn new(inner: T, progress: Progress) -> Self {
        Self { inner, progress }
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
        self.count(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(cx, bytes);
        self.count(&written);
        written
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
    fn count(&self, written: &Poll<io::Result<usize>>) {
        let progress = &self.progress.0;
        progress
            .is_stuck
            .store(written.is_pending(), Ordering::Relaxed);
        if let Poll::Ready(Ok(bytes)) = written {
            let bytes = u64::try_from(*bytes).unwrap_or(0);
            progress.bytes.fetch_add(bytes, Ordering::Relaxed);
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

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_peer_that_acknowledges_nothing_is_given_up() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tcp, _) = tokio::join!(TcpStream::connect(address), listener.accept());
        let stream = Stream::Plain(Counted::new(tcp.unwrap(), Progress::default()));
        let minute = Duration::from_secs(60);
        stream.give_up_after(minute);
        let Stream::Plain(counted) = &stream else {
            panic!("it is plain")
        };
        let kept = SockRef::from(&counted.inner).tcp_user_timeout().unwrap();
        assert_eq!(kept, Some(minute));
    }
}
