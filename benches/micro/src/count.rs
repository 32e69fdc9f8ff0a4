//! Counts the instructions of the codecs and of the hub's look-up, and fails when one takes more than a
//! tenth above its baseline in `counts.txt`. `count --set` writes that file anew.
//!
//! Each is run by itself under valgrind, some times and many times: what lies between is its own cost,
//! whatever starting and making ready take.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hint::black_box;
use std::process::{Command, ExitCode};
use std::{env, fs};

use wallcast_core::event::{Event, Namespace};

/// What fails here fails all of it, in words.
type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// The baselines, a name and a number of instructions a line.
const BASELINES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/counts.txt");

/// Something that is counted: its name, how often the longer run does it more, and what is done with the
/// number of times and of what is made ready, which is the same in both runs.
type Counted = (&'static str, usize, fn(usize, usize));

/// As often as both runs do it.
const SOME: usize = 2;

const COUNTED: [Counted; 6] = [
    ("encode_json", 1_000, |times, ready| {
        encode(times, ready, |event| _ = black_box(event.as_json()));
    }),
    ("encode_socketio", 1_000, |times, ready| {
        encode(times, ready, |event| {
            _ = black_box(event.as_socketio(Namespace::Main));
        });
    }),
    ("encode_sse", 1_000, |times, ready| {
        encode(times, ready, |event| _ = black_box(event.as_sse()));
    }),
    ("decode_socketio", 1_000, |times, ready| {
        let mut decoder = micro::decoder();
        for frame in few(times, ready, micro::frame) {
            assert!(black_box(decoder.decode(frame)).is_ok());
        }
    }),
    ("find_one_listener_of_1000", 1_000, |times, ready| {
        publish(times, ready, 1);
    }),
    ("fan_out_to_1000", 50, |times, ready| {
        publish(times, ready, 1_000);
    }),
];

/// So many of those made ready.
fn few<T>(times: usize, ready: usize, make: fn() -> T) -> impl Iterator<Item = T> {
    let made: Vec<T> = (0..ready).map(|_| make()).collect();
    made.into_iter().take(times)
}

/// Encodes events that were not encoded before.
fn encode(times: usize, ready: usize, encoded: fn(&Event)) {
    for event in few(times, ready, micro::event) {
        encoded(&event);
    }
}

/// Tells events to so many sessions of a thousand, which take them.
fn publish(times: usize, ready: usize, listening: usize) {
    let house = micro::house(1_000, listening);
    for event in few(times, ready, micro::event) {
        assert_eq!(house.hub.publish(event), listening);
        for session in house.sessions.iter().take(listening) {
            black_box(session.outbox().drain(usize::MAX));
        }
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        [] => compare(),
        ["--set"] => set(),
        ["run", name, times] => run(name, times),
        _ => Err("usage: count [--set]".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("count: {error}");
            ExitCode::FAILURE
        }
    }
}

fn compare() -> Outcome<()> {
    let baselines = baselines()?;
    let mut grown = Vec::new();
    for (name, many, _) in COUNTED {
        let found = count(name, many)?;
        let baseline = *baselines
            .get(name)
            .ok_or_else(|| format!("{BASELINES} has no {name}: make count-set"))?;
        let change = (found as f64 / baseline as f64 - 1.0) * 100.0;
        println!("{name:28} {found:>9} instructions, {change:+6.1} % of {baseline}");
        if found > baseline + baseline / 10 {
            grown.push(name);
        }
    }
    match grown.as_slice() {
        [] => Ok(()),
        grown => Err(format!("more than a tenth above its baseline: {}", grown.join(", ")).into()),
    }
}

fn set() -> Outcome<()> {
    let mut text = String::new();
    for (name, many, _) in COUNTED {
        let _ = writeln!(text, "{name} {}", count(name, many)?);
    }
    fs::write(BASELINES, &text)?;
    print!("{text}");
    Ok(())
}

fn baselines() -> Outcome<BTreeMap<String, u64>> {
    let text = fs::read_to_string(BASELINES).map_err(|error| format!("{BASELINES}: {error}"))?;
    let parse = |line: &str| {
        let (name, count) = line.split_once(' ').ok_or("a line without a number")?;
        Ok((name.to_owned(), count.parse()?))
    };
    text.lines().map(parse).collect()
}

/// Instructions of doing it once.
fn count(name: &str, many: usize) -> Outcome<u64> {
    let spent = instructions(name, SOME + many)?.checked_sub(instructions(name, SOME)?);
    Ok(spent.ok_or("more was done in fewer instructions")? / many as u64)
}

/// Instructions of a whole run of this program that does it so many times.
fn instructions(name: &str, times: usize) -> Outcome<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=cachegrind", "--cache-sim=no"])
        .arg("--cachegrind-out-file=/dev/null")
        .arg(env::current_exe()?)
        .args(["run", name, &times.to_string()])
        .output()
        .map_err(|error| format!("valgrind cannot be run: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let total = said
        .lines()
        .find_map(|line| line.split_once(" refs:"))
        .filter(|_| output.status.success())
        .ok_or_else(|| format!("{name} failed under valgrind: {said}"))?;
    Ok(total.1.trim().replace(',', "").parse()?)
}

fn run(name: &str, times: &str) -> Outcome<()> {
    let counted = COUNTED.iter().find(|(known, ..)| *known == name);
    let (_, many, body) = counted.ok_or("nothing of that name is counted")?;
    body(times.parse()?, SOME + many);
    Ok(())
}
