//! Loads the user's certificate and key files, and detects when they change. An invalid pair is reported and never
//! returned, so it cannot replace a working one.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::fingerprint::Fingerprint;
use super::resolver::provider;

/// Maximum size of a file in bytes. A certificate chain has a few kilobytes.
const MAX_FILE_SIZE: u64 = 256 * 1024;

/// Why the two files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// Only one of the two files exists. The path is that of the missing one.
    #[error("{} is missing, but the other file exists; both are required", .0.display())]
    Missing(PathBuf),
    /// A file exists but cannot be read.
    #[error("{} cannot be read ({error}); the user that runs the server needs read permission", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        error: io::Error,
    },
    /// A file exceeds 256 KiB.
    #[error("{} is longer than 256 KiB, so it is not a certificate or key", .0.display())]
    TooLong(PathBuf),
    /// The certificate file contains no PEM certificate.
    #[error("{} contains no certificate in PEM format", .0.display())]
    NoCertificate(PathBuf),
    /// The key file contains no PEM key, or only an encrypted one.
    #[error("{} contains no unencrypted private key in PEM format (PKCS #8, PKCS #1 or SEC1)", .0.display())]
    NoKey(PathBuf),
    /// The key does not belong to the first certificate, for instance because only one file was replaced.
    #[error("certificate and key do not match: {0} (the server's own certificate must come first)")]
    Mismatch(rustls::Error),
}

/// The result of [`FileWatcher::check`].
#[derive(Debug)]
pub enum FileCheck {
    /// The files have not changed since the last check.
    Unchanged,
    /// Neither file exists. Returned once, then `Unchanged`.
    Absent,
    /// The files changed and cannot be used. Returned once for each change.
    Invalid(FilesError),
    /// The files changed and are a valid pair.
    Loaded(CertifiedKey),
}

/// Detects changes of a certificate file and its key file by polling their metadata, which follows symlinks.
#[derive(Debug)]
pub struct FileWatcher {
    certfile: PathBuf,
    keyfile: PathBuf,
    last_check: Option<LastCheck>,
    /// Read the files at the next check even if their stamps are unchanged: a write in the same tick of the
    /// file system's clock as the last read leaves the stamp as it is.
    recheck_contents: bool,
}

type PairStamps = (Option<FileStamp>, Option<FileStamp>);

#[derive(Debug, PartialEq, Eq)]
struct LastCheck {
    stamps: PairStamps,
    digests: PairDigests,
}

/// The metadata that identifies a version of a file. Symlinks are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileStamp {
    modified: (i64, i64),
    /// Also changes with permissions and renames, and cannot be set by tools that preserve `modified`.
    changed: (i64, i64),
    length: u64,
    inode: (u64, u64),
}

/// The SHA-256 of each file, or why it could not be read. The key itself is not retained.
type PairDigests = (
    Result<Fingerprint, ReadError>,
    Result<Fingerprint, ReadError>,
);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReadError {
    TooLong,
    Io(io::ErrorKind),
}

impl FileWatcher {
    /// Creates a watcher. Reads nothing until the first [`check`](Self::check).
    pub fn new(certfile: impl Into<PathBuf>, keyfile: impl Into<PathBuf>) -> Self {
        Self {
            certfile: certfile.into(),
            keyfile: keyfile.into(),
            last_check: None,
            recheck_contents: false,
        }
    }

    /// Compares the files with the last check. Blocks for two `stat` calls, and for reading both files if their
    /// metadata has changed.
    pub fn check(&mut self) -> FileCheck {
        // Stamps before contents: a write in between is detected at the next check.
        let stamps = (FileStamp::of(&self.certfile), FileStamp::of(&self.keyfile));
        let stamps_changed = self
            .last_check
            .as_ref()
            .is_none_or(|last| last.stamps != stamps);
        if !stamps_changed && !self.recheck_contents {
            return FileCheck::Unchanged;
        }
        self.recheck_contents = stamps_changed;
        let (chain, key) = (read(&self.certfile), read(&self.keyfile));
        let digests = (digest(&chain), digest(&key));
        let known = self
            .last_check
            .as_ref()
            .is_some_and(|last| last.digests == digests);
        let result = if known {
            FileCheck::Unchanged
        } else {
            self.load(chain, key)
        };
        self.last_check = Some(LastCheck { stamps, digests });
        result
    }

    fn load(
        &self,
        chain: Result<Vec<u8>, ReadError>,
        key: Result<Vec<u8>, ReadError>,
    ) -> FileCheck {
        const MISSING: ReadError = ReadError::Io(io::ErrorKind::NotFound);
        match (chain, key) {
            (Err(MISSING), Err(MISSING)) => FileCheck::Absent,
            (Err(MISSING), _) => FileCheck::Invalid(FilesError::Missing(self.certfile.clone())),
            (_, Err(MISSING)) => FileCheck::Invalid(FilesError::Missing(self.keyfile.clone())),
            (Err(failure), _) => FileCheck::Invalid(failure.for_path(&self.certfile)),
            (_, Err(failure)) => FileCheck::Invalid(failure.for_path(&self.keyfile)),
            (Ok(chain), Ok(key)) => self
                .parse_pair(&chain, &key)
                .map_or_else(FileCheck::Invalid, FileCheck::Loaded),
        }
    }

    fn parse_pair(&self, chain: &[u8], key: &[u8]) -> Result<CertifiedKey, FilesError> {
        let no_certificate = || FilesError::NoCertificate(self.certfile.clone());
        let chain: Vec<_> = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<_, _>>()
            .map_err(|_| no_certificate())?;
        if chain.is_empty() {
            return Err(no_certificate());
        }
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|_| FilesError::NoKey(self.keyfile.clone()))?;
        CertifiedKey::from_der(chain, key, &provider()).map_err(FilesError::Mismatch)
    }
}

impl FileStamp {
    fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        Some(Self {
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            length: metadata.len(),
            inode: (metadata.dev(), metadata.ino()),
        })
    }
}

impl ReadError {
    fn for_path(self, path: &Path) -> FilesError {
        let path = path.to_owned();
        match self {
            Self::TooLong => FilesError::TooLong(path),
            Self::Io(kind) => FilesError::Read {
                path,
                error: kind.into(),
            },
        }
    }
}

fn digest(bytes: &Result<Vec<u8>, ReadError>) -> Result<Fingerprint, ReadError> {
    bytes
        .as_deref()
        .map(Fingerprint::of)
        .map_err(|failure| *failure)
}

fn read(path: &Path) -> Result<Vec<u8>, ReadError> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_FILE_SIZE + 1).read_to_end(&mut bytes))
        .map_err(|error| ReadError::Io(error.kind()))?;
    if bytes.len() as u64 > MAX_FILE_SIZE {
        Err(ReadError::TooLong)
    } else {
        Ok(bytes)
    }
}

#[cfg(test)]
impl FileWatcher {
    /// Simulates a write in the same tick of the file system's clock as the last check.
    pub(super) fn accept_current_stamps(&mut self) {
        if let Some(last) = &mut self.last_check {
            last.stamps = (FileStamp::of(&self.certfile), FileStamp::of(&self.keyfile));
        }
    }
}
