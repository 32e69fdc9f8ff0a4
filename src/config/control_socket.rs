//! The path of the control socket `DATA_DIR/wallcast.sock`, over which the command line reaches a
//! running daemon. Neither binds nor connects.

use std::{
    fs::File,
    io,
    os::{fd::AsRawFd, unix::ffi::OsStrExt},
    path::{Path, PathBuf},
};

const FILE_NAME: &str = "wallcast.sock";

/// Maximum length of a Unix socket path on Linux (`sun_path` without the terminating zero).
const MAX_PATH_BYTES: usize = 107;

/// A path to the control socket that fits a socket address. Valid while this value lives.
#[derive(Debug)]
pub struct ControlPath {
    path: PathBuf,
    /// Keeps the descriptor open that a shortened path goes through.
    _folder: Option<File>,
}

impl ControlPath {
    /// The socket path in a data folder. If it is too long, the path goes through `/proc/self/fd`,
    /// and the folder must exist.
    pub fn in_folder(data_dir: &Path) -> io::Result<Self> {
        let path = data_dir.join(FILE_NAME);
        if path.as_os_str().as_bytes().len() <= MAX_PATH_BYTES {
            return Ok(Self {
                path,
                _folder: None,
            });
        }
        let folder = File::open(data_dir)?;
        let path = format!("/proc/self/fd/{}/{FILE_NAME}", folder.as_raw_fd()).into();
        Ok(Self {
            path,
            _folder: Some(folder),
        })
    }

    pub fn as_path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::ControlPath;

    #[test]
    fn control_path_works_at_any_depth() {
        let root = tempfile::tempdir().unwrap();
        for depth in [1, 60] {
            let folder = root.path().join("deep/".repeat(depth));
            std::fs::create_dir_all(&folder).unwrap();
            let server = ControlPath::in_folder(&folder).unwrap();
            let _listener = UnixListener::bind(server.as_path()).unwrap();
            let client = ControlPath::in_folder(&folder).unwrap();
            UnixStream::connect(client.as_path()).unwrap();
            assert!(folder.join("wallcast.sock").exists());
        }
    }
}
