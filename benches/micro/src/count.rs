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

use wallcast::event::{Event, Namespace};

/// What fails here fails all of it, in words.
type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// The baselines, a name and a number of instructions a line.
const BASELINES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/counts.txt");

/// Something that is counted: its name, how often it is done by many times, and what is done.
type Counted = (&'static str, u64, fn(u64));

/// As often as both runs do it.
const SOME: u64 = 2;

const COUNTED: [Counted; 6] = [
    ("encode_json", 1_000, |times| {
        encode(times, |event| drop(black_box(event.as_json())));
    }),
    ("encode_socketio", 1_000, |times| {
        encode(times, |event| {
            drop(black_box(event.as_socketio(Namespace::Main)));
        });
    }),
    ("encode_sse", 1_000, |times| {
        encode(times, |event| drop(black_box(event.as_sse())));
    }),
    ("decode_socketio", 1_000, |times| {
        let mut decoder = micro::decoder();
        for _ in 0..times {
            assert!(black_box(decoder.decode(micro::frame())).is_ok());
        }
    }),
    ("find_one_listener_of_1000", 1_000, |times| {
        publish(times, 1);
    }),
    ("fan_out_to_1000", 50, |times| publish(times, 1_000)),
];

/// Encodes an event that was not encoded before, and makes it.
fn encode(times: u64, encoded: fn(&Event)) {
    for _ in 0..times {
        encoded(&micro::event());
    }
}

/// Tells one event to so many sessions of a thousand; they take it.
fn publish(times: u64, listening: usize) {
    let house = micro::house(1_000, listening);
    for _ in 0..times {
        assert_eq!(house.hub.publish(micro::event()), listening);
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
fn count(name: &str, many: u64) -> Outcome<u64> {
    let spent = instructions(name, SOME + many)?.checked_sub(instructions(name, SOME)?);
    Ok(spent.ok_or("more was done in fewer instructions")? / many)
}

/// Instructions of a whole run of this program that does it so many times.
fn instructions(name: &str, times: u64) -> Outcome<u64> {
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
        .find_map(|line| line.split_once("I refs:"))
        .filter(|_| output.status.success())
        .ok_or_else(|| format!("{name} failed under valgrind: {said}"))?;
    Ok(total.1.trim().replace(',', "").parse()?)
}

fn run(name: &str, times: &str) -> Outcome<()> {
    let counted = COUNTED.iter().find(|(known, ..)| *known == name);
    let (_, _, body) = counted.ok_or("nothing of that name is counted")?;
    body(times.parse()?);
    Ok(())
}
