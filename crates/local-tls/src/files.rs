//! The certificate and key that the user brings: reads the two files, and notices when they change.
//! Must never replace a working pair by a broken one.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::fingerprint::Fingerprint;
use super::resolver::provider;

/// A chain of certificates is a few kilobytes; what is longer is something else.
const MAX_FILE: u64 = 256 * 1024;

/// Why the two files cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// One of the two is there, the other is not.
    #[error("{} is missing, while its other half is there; both are needed", .0.display())]
    Half(PathBuf),
    /// A file is there but cannot be read.
    #[error("{} cannot be read ({error}); the key must be readable for the user that runs Wallcast", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Longer than any certificate.
    #[error("{} is longer than 256 KiB, so it is no certificate", .0.display())]
    Long(PathBuf),
    /// No certificate in PEM.
    #[error("{} holds no certificate in PEM form", .0.display())]
    NoCertificate(PathBuf),
    /// No key in PEM, or an encrypted one.
    #[error("{} holds no unencrypted private key in PEM form (PKCS #8, PKCS #1 or SEC1)", .0.display())]
    NoKey(PathBuf),
    /// The two do not fit, for instance while only one of them has been replaced.
    #[error(
        "certificate and key do not fit together: {0} (the server's own certificate must come first)"
    )]
    Mismatch(rustls::Error),
}

/// What a look at the files brought.
#[derive(Debug)]
pub enum Look {
    /// As before.
    Same,
    /// Neither file is there; told when that is news.
    Absent,
    /// There is something new, and it does not work; told once for each state of the files.
    Broken(FilesError),
    /// A new pair that works.
    Loaded(CertifiedKey),
}

/// Watches a pair of files by looking at them now and then.
#[derive(Debug)]
pub struct FileWatch {
    certfile: PathBuf,
    keyfile: PathBuf,
    seen: Option<Seen>,
    /// Whether the bytes must be read again although the stamps stand: a write in the same tick of the file
    /// system's clock as our read leaves the same stamp.
    unsettled: bool,
}

type Stamps = (Option<Stamp>, Option<Stamp>);

#[derive(Debug, PartialEq, Eq)]
struct Seen {
    stamps: Stamps,
    digests: Digests,
}

/// Tells one version of a file from the next, behind symlinks too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: (i64, i64),
    /// Moves with rights and renames as well, and no tool can set it back.
    changed: (i64, i64),
    length: u64,
    inode: (u64, u64),
}

/// The digests of the two files' bytes, or why there are none; the key itself is not held on to.
type Digests = (
    Result<Fingerprint, ReadFailure>,
    Result<Fingerprint, ReadFailure>,
);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReadFailure {
    Long,
    Io(io::ErrorKind),
}

impl FileWatch {
    /// Watches these two; nothing is read yet.
    pub fn new(certfile: impl Into<PathBuf>, keyfile: impl Into<PathBuf>) -> Self {
        Self {
            certfile: certfile.into(),
            keyfile: keyfile.into(),
            seen: None,
            unsettled: false,
        }
    }

    /// Looks now. Blocks for two stats, and for reading two small files if those say that something changed.
    pub fn look(&mut self) -> Look {
        // Stamps first: a write after them shows at the next look.
        let stamps = (Stamp::of(&self.certfile), Stamp::of(&self.keyfile));
        let restamped = self.seen.as_ref().is_none_or(|seen| seen.stamps != stamps);
        if !restamped && !self.unsettled {
            return Look::Same;
        }
        self.unsettled = restamped;
        let (chain, key) = (read(&self.certfile), read(&self.keyfile));
        let digests = (digest(&chain), digest(&key));
        let known = self
            .seen
            .as_ref()
            .is_some_and(|seen| seen.digests == digests);
        let look = if known {
            Look::Same
        } else {
            self.judge(chain, key)
        };
        self.seen = Some(Seen { stamps, digests });
        look
    }

    fn judge(
        &self,
        chain: Result<Vec<u8>, ReadFailure>,
        key: Result<Vec<u8>, ReadFailure>,
    ) -> Look {
        const MISSING: ReadFailure = ReadFailure::Io(io::ErrorKind::NotFound);
        match (chain, key) {
            (Err(MISSING), Err(MISSING)) => Look::Absent,
            (Err(MISSING), _) => Look::Broken(FilesError::Half(self.certfile.clone())),
            (_, Err(MISSING)) => Look::Broken(FilesError::Half(self.keyfile.clone())),
            (Err(failure), _) => Look::Broken(failure.at(&self.certfile)),
            (_, Err(failure)) => Look::Broken(failure.at(&self.keyfile)),
            (Ok(chain), Ok(key)) => self
                .pair(&chain, &key)
                .map_or_else(Look::Broken, Look::Loaded),
        }
    }

    fn pair(&self, chain: &[u8], key: &[u8]) -> Result<CertifiedKey, FilesError> {
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

impl Stamp {
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

impl ReadFailure {
    fn at(self, path: &Path) -> FilesError {
        let path = path.to_owned();
        match self {
            Self::Long => FilesError::Long(path),
            Self::Io(kind) => FilesError::Read {
                path,
                error: kind.into(),
            },
        }
    }
}

fn digest(bytes: &Result<Vec<u8>, ReadFailure>) -> Result<Fingerprint, ReadFailure> {
    bytes
        .as_deref()
        .map(Fingerprint::of)
        .map_err(|failure| *failure)
}

fn read(path: &Path) -> Result<Vec<u8>, ReadFailure> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes))
        .map_err(|error| ReadFailure::Io(error.kind()))?;
    if bytes.len() as u64 > MAX_FILE {
        Err(ReadFailure::Long)
    } else {
        Ok(bytes)
    }
}

#[cfg(test)]
impl FileWatch {
    /// As if the last write had come in the same tick of the file system's clock as the last look.
    pub(super) fn overlook_stamps(&mut self) {
        if let Some(seen) = &mut self.seen {
            seen.stamps = (Stamp::of(&self.certfile), Stamp::of(&self.keyfile));
        }
    }
}
