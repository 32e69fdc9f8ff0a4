//! A daemon that answers by rote on the control socket and remembers what it was asked.

use std::{
    io::{BufRead, BufReader, Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    sync::{Arc, Mutex},
    thread,
};

use wallcast::config::ControlPath;

/// One request: its first line without the version, and its body.
pub(crate) type Asked = (String, String);

/// A running daemon; it answers until the test's process ends.
pub(crate) struct Daemon {
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Daemon {
    /// Listens in the data folder and gives these answers (status and body), one a request.
    pub(crate) fn start(data_dir: &Path, answers: &[(&str, &str)]) -> Self {
        let path = ControlPath::of(data_dir).unwrap();
        let listener = UnixListener::bind(path.as_path()).unwrap();
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let heard = Arc::clone(&asked);
        let answers: Vec<String> = answers
            .iter()
            .map(|(status, body)| answer(status, body))
            .collect();
        thread::spawn(move || {
            let mut answers = answers.into_iter();
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                // The command line first knocks to see whether a daemon listens.
                if let Some(request) = read(&stream) {
                    heard.lock().unwrap().push(request);
                    let text = answers
                        .next()
                        .unwrap_or_else(|| answer("500 Unasked", "{}"));
                    (&stream).write_all(text.as_bytes()).unwrap();
                }
            }
        });
        Self { asked }
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

fn answer(status: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

fn read(stream: &UnixStream) -> Option<Asked> {
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
