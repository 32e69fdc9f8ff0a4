//! Adapts an async stream to the `std::io` traits that tungstenite needs.

use std::io::{self, Read, Write};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// An async stream with non-blocking `Read` and `Write`: an operation that is not ready fails with `WouldBlock` and
/// wakes the task of the last [`set_waker`](Self::set_waker).
///
/// tokio-tungstenite has an adapter of its own, but its `WebSocketStream` keeps shared wakers for split halves and
/// does not allow the size limits to change.
pub(super) struct NonBlockingStream<S> {
    stream: S,
    waker: Waker,
    /// The result of a read by `is_readable`, for the next `read`. Empty bytes mean the end of the stream.
    read_ahead: Option<io::Result<Bytes>>,
    /// Bytes that the stream has not accepted. They precede all later writes.
    unwritten: Vec<u8>,
}

/// Size of a read by `is_readable`.
const READ_AHEAD: usize = 1024;

impl<S: AsyncRead + AsyncWrite + Unpin> NonBlockingStream<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            waker: Waker::noop().clone(),
            read_ahead: None,
            unwritten: Vec::new(),
        }
    }

    pub(super) fn get_ref(&self) -> &S {
        &self.stream
    }

    /// Sets the task to wake when the stream is ready again.
    pub(super) fn set_waker(&mut self, waker: &Waker) {
        self.waker.clone_from(waker);
    }

    /// Whether a read would return at once. If not, the task is woken when it would.
    pub(super) fn is_readable(&mut self) -> bool {
        if self.read_ahead.is_none() {
            let mut scratch = [MaybeUninit::uninit(); READ_AHEAD];
            let mut buffer = ReadBuf::uninit(&mut scratch);
            let cx = &mut Context::from_waker(&self.waker);
            let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(cx, &mut buffer) else {
                return false;
            };
            self.read_ahead = Some(read.map(|()| Bytes::copy_from_slice(buffer.filled())));
        }
        true
    }

    /// Sets bytes to send before all others, in the same write as the first batch.
    pub(super) fn prepend(&mut self, head: Vec<u8>) {
        self.unwritten = head;
    }

    /// Whether the stream has not accepted all bytes of `prepend` and `write_batch`.
    pub(super) fn has_unwritten(&self) -> bool {
        !self.unwritten.is_empty()
    }

    /// Writes the bytes. Those that the stream does not accept at once are kept for the next flush. The
    /// caller must have completed a flush since the last batch.
    pub(super) fn write_batch(&mut self, bytes: Vec<u8>) -> io::Result<()> {
        match self.unwritten.is_empty() {
            true => self.unwritten = bytes,
            false => self.unwritten.extend_from_slice(&bytes),
        }
        match self.write_pending() {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(()),
        }
    }

    fn write_pending(&mut self) -> io::Result<()> {
        while !self.unwritten.is_empty() {
            let cx = &mut Context::from_waker(&self.waker);
            let accepted = would_block(Pin::new(&mut self.stream).poll_write(cx, &self.unwritten))?;
            match accepted {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                all if all == self.unwritten.len() => self.unwritten = Vec::new(),
                some => drop(self.unwritten.drain(..some)),
            }
        }
        Ok(())
    }

    /// Shuts the write side down; TLS streams send close_notify.
    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    /// Reads and discards until the peer closes its write side.
    pub(super) fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut scratch = [0; 512];
        loop {
            let mut buffer = ReadBuf::new(&mut scratch);
            std::task::ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
            if buffer.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncRead + Unpin> Read for NonBlockingStream<S> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if let Some(ahead) = self.read_ahead.take() {
            let mut ahead = ahead?;
            let count = ahead.len().min(bytes.len());
            let (now, _) = bytes.split_at_mut(count);
            now.copy_from_slice(&ahead.split_to(count));
            if !ahead.is_empty() {
                self.read_ahead = Some(Ok(ahead));
            }
            return Ok(count);
        }
        let mut buffer = ReadBuf::new(bytes);
        let cx = &mut Context::from_waker(&self.waker);
        would_block(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
        Ok(buffer.filled().len())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Write for NonBlockingStream<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_pending()?;
        let cx = &mut Context::from_waker(&self.waker);
        would_block(Pin::new(&mut self.stream).poll_write(cx, bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.write_pending()?;
        let cx = &mut Context::from_waker(&self.waker);
        would_block(Pin::new(&mut self.stream).poll_flush(cx))
    }
}

fn would_block<T>(poll: Poll<io::Result<T>>) -> io::Result<T> {
    match poll {
        Poll::Ready(result) => result,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}
