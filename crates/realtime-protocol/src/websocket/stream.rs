//! Lets tungstenite's blocking-style core work on an async stream for the one task that it wakes; never touches the bytes.

use std::io::{self, Read, Write};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// An async stream that answers "would block" and wakes the task of the last `rouse`.
///
/// tokio-tungstenite's own adapter keeps two shared wakers for split halves and hides the
/// size limits; one task and limits that change at run time need neither.
pub(super) struct Polled<S> {
    stream: S,
    waker: Waker,
    /// What the next reads give: bytes, none of them at the stream's end, or its error.
    ahead: Option<io::Result<Bytes>>,
    /// What was put and has not left: it goes before all that is written later.
    rest: Vec<u8>,
}

/// Bytes that are read ahead.
const AHEAD: usize = 1024;

impl<S: AsyncRead + AsyncWrite + Unpin> Polled<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            waker: Waker::noop().clone(),
            ahead: None,
            rest: Vec::new(),
        }
    }

    /// The stream itself.
    pub(super) fn get_ref(&self) -> &S {
        &self.stream
    }

    /// Names the task to wake when reading or writing can go on.
    pub(super) fn rouse(&mut self, waker: &Waker) {
        self.waker.clone_from(waker);
    }

    /// Whether a read would not block; if it would, the task is woken once it would not.
    pub(super) fn is_readable(&mut self) -> bool {
        if self.ahead.is_none() {
            let mut scratch = [MaybeUninit::uninit(); AHEAD];
            let mut buffer = ReadBuf::uninit(&mut scratch);
            let cx = &mut Context::from_waker(&self.waker);
            let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(cx, &mut buffer) else {
                return false;
            };
            self.ahead = Some(read.map(|()| Bytes::copy_from_slice(buffer.filled())));
        }
        true
    }

    /// Has these bytes go before all others, and together with the first that are put.
    pub(super) fn begin_with(&mut self, head: Vec<u8>) {
        self.rest = head;
    }

    /// Whether bytes that were put, or go before them, have not left.
    pub(super) fn has_rest(&self) -> bool {
        !self.rest.is_empty()
    }

    /// Takes all of these bytes; what the stream does not take of them at once leaves by a flush. Call
    /// only after one.
    pub(super) fn put(&mut self, bytes: Vec<u8>) -> io::Result<()> {
        match self.rest.is_empty() {
            true => self.rest = bytes,
            false => self.rest.extend_from_slice(&bytes),
        }
        match self.write_rest() {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(()),
        }
    }

    fn write_rest(&mut self) -> io::Result<()> {
        while !self.rest.is_empty() {
            let cx = &mut Context::from_waker(&self.waker);
            let taken = block(Pin::new(&mut self.stream).poll_write(cx, &self.rest))?;
            match taken {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                all if all == self.rest.len() => self.rest = Vec::new(),
                some => drop(self.rest.drain(..some)),
            }
        }
        Ok(())
    }

    /// Ends the writing side, with TLS's close alert where there is TLS.
    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    /// Reads and throws away until the peer has hung up.
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

impl<S: AsyncRead + Unpin> Read for Polled<S> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if let Some(ahead) = self.ahead.take() {
            let mut ahead = ahead?;
            let count = ahead.len().min(bytes.len());
            let (now, _) = bytes.split_at_mut(count);
            now.copy_from_slice(&ahead.split_to(count));
            if !ahead.is_empty() {
                self.ahead = Some(Ok(ahead));
            }
            return Ok(count);
        }
        let mut buffer = ReadBuf::new(bytes);
        let cx = &mut Context::from_waker(&self.waker);
        block(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
        Ok(buffer.filled().len())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Write for Polled<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_rest()?;
        let cx = &mut Context::from_waker(&self.waker);
        block(Pin::new(&mut self.stream).poll_write(cx, bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.write_rest()?;
        let cx = &mut Context::from_waker(&self.waker);
        block(Pin::new(&mut self.stream).poll_flush(cx))
    }
}

fn block<T>(poll: Poll<io::Result<T>>) -> io::Result<T> {
    match poll {
        Poll::Ready(result) => result,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}
