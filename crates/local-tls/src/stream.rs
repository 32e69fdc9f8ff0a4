//! A TLS stream on rustls' unbuffered API. Between reads and writes it holds no buffers, so an idle connection costs
//! only the memory of rustls' own state.

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

/// Maximum size of a read from the socket.
const READ_SIZE: usize = 4096;
/// Maximum plaintext per write: one record (RFC 8446, section 5.1).
const MAX_PLAINTEXT: usize = 16 * 1024;
/// Estimate of how much longer a record is than its plaintext. If it is too low, rustls returns the required size.
const RECORD_OVERHEAD: usize = 64;
/// Maximum size of incomplete input. More than any record or handshake message of a genuine client.
const MAX_PENDING_CIPHERTEXT: usize = 64 * 1024;

/// An open TLS session.
///
/// A write accepts at most 16 KiB, encrypts it, and passes it to the socket. The next write waits until the socket has
/// accepted it, so at most one data record is buffered, apart from the few records that rustls sends by itself.
pub struct TlsStream<IO> {
    io: IO,
    tls: UnbufferedServerConnection,
    /// Received bytes that are not a complete record yet.
    ciphertext: Vec<u8>,
    /// Decrypted bytes.
    plaintext: Vec<u8>,
    /// How many bytes of `plaintext` were read.
    plaintext_read: usize,
    /// Encoded records.
    unsent: Vec<u8>,
    /// How many bytes of `unsent` the socket has accepted.
    unsent_written: usize,
    /// The peer sent close_notify, the socket ended, or the session failed. Nothing more is read.
    read_closed: bool,
    /// close_notify was sent, or the session failed. Nothing more is written.
    write_closed: bool,
}

/// What to do after the received records have been processed.
enum Operation<'a> {
    Read,
    Write(&'a [u8]),
    Close,
}

/// Performs the TLS handshake on an accepted connection. It has no timeout of its own.
///
/// # Errors
/// `InvalidData` if the client violates the protocol or has no version or cipher suite in common; it has been sent an
/// alert. Otherwise the error of `io`, or `UnexpectedEof`.
pub async fn accept<IO>(config: Arc<ServerConfig>, io: IO) -> io::Result<TlsStream<IO>>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let mut stream = TlsStream {
        io,
        tls: UnbufferedServerConnection::new(config).map_err(io::Error::other)?,
        ciphertext: Vec::new(),
        plaintext: Vec::new(),
        plaintext_read: 0,
        unsent: Vec::new(),
        unsent_written: 0,
        read_closed: false,
        write_closed: false,
    };
    poll_fn(|cx| {
        loop {
            ready!(stream.poll_write_unsent(cx))?;
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
    /// The connection and the TLS session.
    pub fn get_ref(&self) -> (&IO, &UnbufferedServerConnection) {
        (&self.io, &self.tls)
    }

    /// The total capacity of the buffers in bytes.
    #[cfg(test)]
    pub(super) fn buffer_capacity(&self) -> usize {
        self.ciphertext.capacity() + self.plaintext.capacity() + self.unsent.capacity()
    }

    /// Processes the received records, encodes the records that are due, then performs `operation`. Returns whether
    /// it was performed; `Read` never is.
    fn advance(&mut self, operation: &Operation<'_>) -> io::Result<bool> {
        let mut failure = None;
        let mut is_done = false;
        loop {
            let UnbufferedStatus { mut discard, state } =
                self.tls.process_tls_records(&mut self.ciphertext);
            let has_more = match state {
                Ok(ConnectionState::ReadTraffic(mut records)) => {
                    while let Some(record) = records.next_record() {
                        let record = record.map_err(invalid)?;
                        discard += record.discard;
                        self.plaintext.extend_from_slice(record.payload);
                    }
                    true
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    append(&mut self.unsent, 0, |room| data.encode(room))?;
                    true
                }
                // Already in `unsent`, which is written before any later record.
                Ok(ConnectionState::TransmitTlsData(sent)) => {
                    sent.done();
                    true
                }
                Ok(ConnectionState::PeerClosed) => {
                    self.read_closed = true;
                    true
                }
                Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                    is_done = match operation {
                        Operation::Read => false,
                        Operation::Write(bytes) => {
                            append(&mut self.unsent, bytes.len() + RECORD_OVERHEAD, |room| {
                                traffic.encrypt(bytes, room)
                            })?;
                            true
                        }
                        Operation::Close => {
                            append(&mut self.unsent, RECORD_OVERHEAD, |room| {
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
            self.ciphertext.drain(..discard);
            if !has_more {
                break;
            }
        }
        if self.ciphertext.is_empty() {
            self.ciphertext = Vec::new();
        }
        match failure {
            Some(error) => {
                self.encode_alert()?;
                Err(invalid(error))
            }
            None => Ok(is_done),
        }
    }

    /// Encodes the alert after the session failed. Received records are skipped, because they would cause the error
    /// again.
    fn encode_alert(&mut self) -> io::Result<()> {
        self.read_closed = true;
        self.write_closed = true;
        while self.tls.wants_write() {
            match self.tls.process_tls_records(&mut self.ciphertext).state {
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
    /// Reads once and processes the received records.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut scratch = [MaybeUninit::uninit(); READ_SIZE];
        let mut received = ReadBuf::uninit(&mut scratch);
        ready!(Pin::new(&mut self.io).poll_read(cx, &mut received))?;
        if received.filled().is_empty() {
            self.read_closed = true;
            // Without close_notify, an attacker may have truncated the stream.
            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
        }
        if self.ciphertext.len() > MAX_PENDING_CIPHERTEXT {
            (self.read_closed, self.write_closed) = (true, true);
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        self.ciphertext.extend_from_slice(received.filled());
        let advanced = self.advance(&Operation::Read);
        if advanced.is_err() {
            // Best effort: send the alert if the socket accepts it now.
            let _ = self.poll_write_unsent(cx);
        }
        Poll::Ready(advanced.map(drop))
    }

    /// Writes `unsent`. Ready when the socket has accepted all of it.
    fn poll_write_unsent(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest @ [_, ..]) = self.unsent.get(self.unsent_written..) {
            match ready!(Pin::new(&mut self.io).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.unsent_written += count,
            }
        }
        self.unsent = Vec::new();
        self.unsent_written = 0;
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
        while this.plaintext.is_empty() {
            if this.read_closed {
                return Poll::Ready(Ok(()));
            }
            ready!(this.poll_receive(cx))?;
        }
        let waiting = this
            .plaintext
            .get(this.plaintext_read..)
            .unwrap_or_default();
        let (now, later) = waiting.split_at(waiting.len().min(buffer.remaining()));
        buffer.put_slice(now);
        this.plaintext_read += now.len();
        if later.is_empty() {
            this.plaintext = Vec::new();
            this.plaintext_read = 0;
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
        ready!(this.poll_write_unsent(cx))?;
        let (now, _) = bytes.split_at(bytes.len().min(MAX_PLAINTEXT));
        if this.write_closed || !this.advance(&Operation::Write(now))? {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        match this.poll_write_unsent(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            // The bytes are encrypted, so they count as written. The next write or flush waits for the record.
            _ => Poll::Ready(Ok(now.len())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_write_unsent(cx))?;
        Pin::new(&mut this.io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.write_closed {
            this.advance(&Operation::Close)?;
            this.write_closed = true;
        }
        ready!(this.poll_write_unsent(cx))?;
        Pin::new(&mut this.io).poll_shutdown(cx)
    }
}

/// Appends what `encode` writes. Tries a buffer of `guess` bytes first, then one of the required size.
fn append<E: Into<EncodeFailure>>(
    out: &mut Vec<u8>,
    guess: usize,
    mut encode: impl FnMut(&mut [u8]) -> Result<usize, E>,
) -> io::Result<()> {
    let start = out.len();
    let mut size = guess;
    loop {
        out.resize(start + size, 0);
        let room = out.get_mut(start..).unwrap_or_default();
        match encode(room).map_err(Into::into) {
            Ok(written) => {
                out.truncate(start + written);
                return Ok(());
            }
            Err(EncodeFailure::BufferTooSmall(needed)) => size = needed,
            Err(EncodeFailure::Fatal(error)) => {
                out.truncate(start);
                return Err(error);
            }
        }
    }
}

/// Why nothing was encoded.
enum EncodeFailure {
    /// The required size in bytes.
    BufferTooSmall(usize),
    Fatal(io::Error),
}

impl From<EncodeError> for EncodeFailure {
    fn from(error: EncodeError) -> Self {
        match error {
            EncodeError::InsufficientSize(InsufficientSizeError { required_size, .. }) => {
                Self::BufferTooSmall(required_size)
            }
            EncodeError::AlreadyEncoded => Self::Fatal(io::Error::other(error)),
        }
    }
}

impl From<EncryptError> for EncodeFailure {
    fn from(error: EncryptError) -> Self {
        match error {
            EncryptError::InsufficientSize(InsufficientSizeError { required_size, .. }) => {
                Self::BufferTooSmall(required_size)
            }
            EncryptError::EncryptExhausted => Self::Fatal(io::Error::other(error)),
        }
    }
}

fn invalid(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
