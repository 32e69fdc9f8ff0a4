//! TLS on an accepted socket by the half of rustls that keeps no buffers: a silent connection holds no
//! byte but its keys. Knows nothing of what the bytes say.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::ServerConfig;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncryptError, InsufficientSizeError, UnbufferedStatus,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that are read at once.
const READ: usize = 4096;
/// Bytes that are encrypted at once: one record.
const RECORD: usize = 16 * 1024;
/// What a record is longer than what it holds, at most; rustls names a larger one if need be.
const OVERHEAD: usize = 64;
/// Bytes that may come before they make something whole: more than any record, and any handshake.
const MAX_SEALED: usize = 64 * 1024;

/// A TLS session that is open. What is to be sent and was not taken is one record, or few.
pub struct TlsStream<IO> {
    io: IO,
    tls: UnbufferedServerConnection,
    /// What came and makes no whole record yet.
    sealed: Vec<u8>,
    /// What records held and nobody has asked for yet.
    plain: Vec<u8>,
    /// How much of `plain` was given.
    given: usize,
    /// Records that the kernel has not taken yet.
    unsent: Vec<u8>,
    /// How much of `unsent` it has.
    taken: usize,
    /// Nothing more will come.
    has_ended: bool,
    /// The peer broke the protocol, or a farewell was said: nothing more goes out.
    is_closed: bool,
}

/// What is done once the session is ready for it.
enum Wish<'a> {
    Nothing,
    Send(&'a [u8]),
    Close,
}

/// Does the handshake on an accepted socket. The caller awaits it in the connection's own task and
/// under its own time limit.
///
/// # Errors
/// Why there is no session; the peer has been told.
pub async fn accept<IO>(config: Arc<ServerConfig>, io: IO) -> io::Result<TlsStream<IO>>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let mut stream = TlsStream {
        io,
        tls: UnbufferedServerConnection::new(config).map_err(io::Error::other)?,
        sealed: Vec::new(),
        plain: Vec::new(),
        given: 0,
        unsent: Vec::new(),
        taken: 0,
        has_ended: false,
        is_closed: false,
    };
    poll_fn(|cx| {
        loop {
            ready!(stream.poll_unsent(cx))?;
            if !stream.tls.is_handshaking() {
                return Poll::Ready(io::Result::Ok(()));
            }
            ready!(stream.poll_receive(cx))?;
        }
    })
    .await?;
    Ok(stream)
}

impl<IO> fmt::Debug for TlsStream<IO> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsStream")
    }
}

impl<IO> TlsStream<IO> {
    /// The socket and its session.
    pub fn get_ref(&self) -> (&IO, &UnbufferedServerConnection) {
        (&self.io, &self.tls)
    }

    /// Bytes that it has memory for.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.sealed.capacity() + self.plain.capacity() + self.unsent.capacity()
    }

    /// Goes through what came, lays out what is to be sent, and does what is wished if it can be done:
    /// then it is true.
    fn advance(&mut self, wish: &Wish<'_>) -> io::Result<bool> {
        let mut failure = None;
        let mut is_done = false;
        loop {
            let UnbufferedStatus { mut discard, state } =
                self.tls.process_tls_records(&mut self.sealed);
            let goes_on = match state {
                Ok(ConnectionState::ReadTraffic(mut records)) => {
                    while let Some(record) = records.next_record() {
                        let record = record.map_err(invalid)?;
                        discard += record.discard;
                        self.plain.extend_from_slice(record.payload);
                    }
                    true
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    append(&mut self.unsent, 0, |room| data.encode(room))?;
                    true
                }
                // What is laid out goes before all that comes later.
                Ok(ConnectionState::TransmitTlsData(sent)) => {
                    sent.done();
                    true
                }
                Ok(ConnectionState::PeerClosed) => {
                    self.has_ended = true;
                    true
                }
                Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                    is_done = match wish {
                        Wish::Nothing => false,
                        Wish::Send(bytes) => {
                            append(&mut self.unsent, bytes.len() + OVERHEAD, |room| {
                                traffic.encrypt(bytes, room)
                            })?;
                            true
                        }
                        Wish::Close => {
                            append(&mut self.unsent, OVERHEAD, |room| {
                                traffic.queue_close_notify(room)
                            })?;
                            true
                        }
                    };
                    false
                }
                Err(error) => {
                    failure = Some(error);
                    false
                }
                Ok(_) => false,
            };
            self.sealed.drain(..discard);
            if !goes_on {
                break;
            }
        }
        if self.sealed.is_empty() {
            self.sealed = Vec::new();
        }
        match failure {
            Some(error) => {
                self.break_off()?;
                Err(invalid(error))
            }
            None => Ok(is_done),
        }
    }

    /// Lays out the alert that tells the peer why. What came is not looked at again: it would break the
    /// session a second time.
    fn break_off(&mut self) -> io::Result<()> {
        self.has_ended = true;
        self.is_closed = true;
        while self.tls.wants_write() {
            match self.tls.process_tls_records(&mut self.sealed).state {
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    append(&mut self.unsent, 0, |room| data.encode(room))?;
                }
                Ok(ConnectionState::ReadTraffic(mut records)) => {
                    while records.next_record().is_some() {}
                }
                _ => break,
            }
        }
        Ok(())
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> TlsStream<IO> {
    /// Reads once and goes through what came; ready when something did.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut scratch = [MaybeUninit::uninit(); READ];
        let mut came = ReadBuf::uninit(&mut scratch);
        ready!(Pin::new(&mut self.io).poll_read(cx, &mut came))?;
        if came.filled().is_empty() {
            self.has_ended = true;
            // Without a farewell it may have been cut off by anyone.
            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
        }
        if self.sealed.len() > MAX_SEALED {
            (self.has_ended, self.is_closed) = (true, true);
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        self.sealed.extend_from_slice(came.filled());
        let advanced = self.advance(&Wish::Nothing);
        if advanced.is_err() {
            // The alert leaves if it can; the rest of what is laid out waits for a write, as it would
            // without this.
            let _ = self.poll_unsent(cx);
        }
        Poll::Ready(advanced.map(drop))
    }

    /// Ready when the kernel has all that is laid out.
    fn poll_unsent(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest @ [_, ..]) = self.unsent.get(self.taken..) {
            match ready!(Pin::new(&mut self.io).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.taken += count,
            }
        }
        self.unsent = Vec::new();
        self.taken = 0;
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncRead for TlsStream<IO> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.plain.is_empty() {
            if this.has_ended {
                return Poll::Ready(Ok(()));
            }
            ready!(this.poll_receive(cx))?;
        }
        let waiting = this.plain.get(this.given..).unwrap_or_default();
        let (now, later) = waiting.split_at(waiting.len().min(buffer.remaining()));
        buffer.put_slice(now);
        this.given += now.len();
        if later.is_empty() {
            this.plain = Vec::new();
            this.given = 0;
        }
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TlsStream<IO> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_unsent(cx))?;
        let (now, _) = bytes.split_at(bytes.len().min(RECORD));
        if this.is_closed || !this.advance(&Wish::Send(now))? {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        match this.poll_unsent(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            // It is encrypted and can no longer be taken back; the next write, or a flush, waits for it.
            _ => Poll::Ready(Ok(now.len())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_unsent(cx))?;
        Pin::new(&mut this.io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.is_closed {
            this.advance(&Wish::Close)?;
            this.is_closed = true;
        }
        ready!(this.poll_unsent(cx))?;
        Pin::new(&mut this.io).poll_shutdown(cx)
    }
}

/// Lays out records in room for `guess` bytes, or for as many as it turns out to take.
fn append<E: Into<Short>>(
    out: &mut Vec<u8>,
    guess: usize,
    mut lay_out: impl FnMut(&mut [u8]) -> Result<usize, E>,
) -> io::Result<()> {
    let start = out.len();
    let mut size = guess;
    loop {
        out.resize(start + size, 0);
        let room = out.get_mut(start..).unwrap_or_default();
        match lay_out(room).map_err(Into::into) {
            Ok(written) => {
                out.truncate(start + written);
                return Ok(());
            }
            Err(Short::By(needed)) => size = needed,
            Err(Short::Never(error)) => {
                out.truncate(start);
                return Err(error);
            }
        }
    }
}

/// Why nothing was laid out.
enum Short {
    /// It takes so many bytes.
    By(usize),
    Never(io::Error),
}

impl From<EncodeError> for Short {
    fn from(error: EncodeError) -> Self {
        match error {
            EncodeError::InsufficientSize(InsufficientSizeError { required_size, .. }) => {
                Self::By(required_size)
            }
            EncodeError::AlreadyEncoded => Self::Never(io::Error::other(error)),
        }
    }
}

impl From<EncryptError> for Short {
    fn from(error: EncryptError) -> Self {
        match error {
            EncryptError::InsufficientSize(InsufficientSizeError { required_size, .. }) => {
                Self::By(required_size)
            }
            EncryptError::EncryptExhausted => Self::Never(io::Error::other(error)),
        }
    }
}

fn invalid(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
