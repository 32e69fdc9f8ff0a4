//! Where a daemon and the command line beside it meet: `DATA_DIR/wallcast.sock`. It neither binds nor connects.

use std::{
    fs::File,
    io,
    os::{fd::AsRawFd, unix::ffi::OsStrExt},
    path::{Path, PathBuf},
};

/// The socket's name in the data folder.
const FILE_NAME: &str = "wallcast.sock";

/// The longest path that a Unix socket address holds on Linux (`sun_path` without its closing zero).
const LONGEST_PATH: usize = 107;

/// A path to the control socket that fits into a socket address. It works while the value lives.
#[derive(Debug)]
pub struct ControlPath {
    path: PathBuf,
    /// Keeps the folder's descriptor open that a shortened path goes through.
    _folder: Option<File>,
}

impl ControlPath {
    /// The path in this data folder; one that is too long goes through the opened folder,
    /// which must exist then.
    pub fn of(data_dir: &Path) -> io::Result<Self> {
        let path = data_dir.join(FILE_NAME);
        if path.as_os_str().as_bytes().len() <= LONGEST_PATH {
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

    /// The path to bind or to connect to.
    pub fn as_path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::ControlPath;

    #[test]
    fn a_folder_of_any_depth_works() {
        let root = tempfile::tempdir().unwrap();
        for depth in [1, 60] {
            let folder = root.path().join("deep/".repeat(depth));
            std::fs::create_dir_all(&folder).unwrap();
            let server = ControlPath::of(&folder).unwrap();
            let _listener = UnixListener::bind(server.as_path()).unwrap();
            let client = ControlPath::of(&folder).unwrap();
            UnixStream::connect(client.as_path()).unwrap();
            assert!(folder.join("wallcast.sock").exists());
        }
    }
}
