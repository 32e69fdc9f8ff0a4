//! A stand-in for the daemon: it sends prepared responses on the control socket and records the requests.

use std::{
    io::{BufRead, BufReader, Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    sync::{Arc, Mutex},
    thread,
};

use wallcast::config::ControlPath;

/// A request: its first line without the HTTP version, and its body.
pub(crate) type ReceivedRequest = (String, String);

/// Runs until the test process ends.
pub(crate) struct ControlServer {
    requests: Arc<Mutex<Vec<ReceivedRequest>>>,
}

impl ControlServer {
    /// Listens in the data folder. Each request gets the next of these responses (status and body), then 500.
    pub(crate) fn start(data_dir: &Path, responses: &[(&str, &str)]) -> Self {
        let path = ControlPath::in_folder(data_dir).unwrap();
        let listener = UnixListener::bind(path.as_path()).unwrap();
        let requests: Arc<Mutex<Vec<ReceivedRequest>>> = Arc::default();
        let received = Arc::clone(&requests);
        let responses: Vec<String> = responses
            .iter()
            .map(|(status, body)| response(status, body))
            .collect();
        thread::spawn(move || {
            let mut responses = responses.into_iter();
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                // The command line first connects without a request, to see whether a daemon listens.
                if let Some(request) = read(&stream) {
                    received.lock().unwrap().push(request);
                    let text = responses
                        .next()
                        .unwrap_or_else(|| response("500 Unexpected", "{}"));
                    (&stream).write_all(text.as_bytes()).unwrap();
                }
            }
        });
        Self { requests }
    }

    pub(crate) fn requests(&self) -> Vec<ReceivedRequest> {
        self.requests.lock().unwrap().clone()
    }
}

fn response(status: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

fn read(stream: &UnixStream) -> Option<ReceivedRequest> {
    let mut lines = BufReader::new(stream);
    let mut first = String::new();
    lines.read_line(&mut first).unwrap();
    let line = first.strip_suffix(" HTTP/1.1\r\n")?.to_owned();
    let mut length = 0;
    loop {
        let mut header = String::new();
        lines.read_line(&mut header).unwrap();
        let Some((name, value)) = header.trim_end().split_once(": ") else {
            break;
        };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    lines.read_exact(&mut body).unwrap();
    Some((line, String::from_utf8(body).unwrap()))
}
