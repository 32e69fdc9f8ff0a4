//! Counts the instructions of the codecs and of the hub's lookup. Fails if one is more than 10 % above its baseline
//! in `counts.txt`. `count --set` writes new baselines.
//!
//! Each routine runs in valgrind twice, with few and with many repetitions. The difference is the cost of the
//! repetitions, without the cost of startup and preparation.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hint::black_box;
use std::process::{Command, ExitCode};
use std::{env, fs};

use wallcast_core::event::{Event, Namespace};

/// Any error ends the program with its message.
type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// The baselines, one per line: a name and a number of instructions.
const BASELINES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/counts.txt");

/// A counted routine: its name, the additional repetitions of the longer run, and a function that takes the number
/// of repetitions and of prepared inputs. Both runs prepare the same number of inputs.
type Counted = (&'static str, usize, fn(usize, usize));

/// Repetitions of the shorter run.
const FEW: usize = 2;

const COUNTED: [Counted; 6] = [
    ("encode_json", 1_000, |repetitions, prepared| {
        encode(repetitions, prepared, |event| {
            _ = black_box(event.as_json())
        });
    }),
    ("encode_socketio", 1_000, |repetitions, prepared| {
        encode(repetitions, prepared, |event| {
            _ = black_box(event.as_socketio(Namespace::Main));
        });
    }),
    ("encode_sse", 1_000, |repetitions, prepared| {
        encode(repetitions, prepared, |event| _ = black_box(event.as_sse()));
    }),
    ("decode_socketio", 1_000, |repetitions, prepared| {
        let mut decoder = micro::decoder();
        for frame in inputs(repetitions, prepared, micro::frame) {
            assert!(black_box(decoder.decode(frame)).is_ok());
        }
    }),
    (
        "find_one_listener_of_1000",
        1_000,
        |repetitions, prepared| {
            publish(repetitions, prepared, 1);
        },
    ),
    ("fan_out_to_1000", 50, |repetitions, prepared| {
        publish(repetitions, prepared, 1_000);
    }),
];

/// Prepares `prepared` inputs and returns the first `repetitions` of them.
fn inputs<T>(repetitions: usize, prepared: usize, make: fn() -> T) -> impl Iterator<Item = T> {
    let inputs: Vec<T> = (0..prepared).map(|_| make()).collect();
    inputs.into_iter().take(repetitions)
}

/// Encodes events that are not encoded yet.
fn encode(repetitions: usize, prepared: usize, encode: fn(&Event)) {
    for event in inputs(repetitions, prepared, micro::event) {
        encode(&event);
    }
}

/// Publishes events to `subscribers` of 1,000 sessions, and drains their queues.
fn publish(repetitions: usize, prepared: usize, subscribers: usize) {
    let fixture = micro::hub_with_sessions(1_000, subscribers);
    for event in inputs(repetitions, prepared, micro::event) {
        assert_eq!(fixture.hub.publish(event), subscribers);
        for session in fixture.sessions.iter().take(subscribers) {
            black_box(session.outbox().drain(usize::MAX));
        }
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments.as_slice() {
        [] => compare(),
        ["--set"] => set(),
        ["run", name, repetitions] => run(name, repetitions),
        _ => Err("usage: count [--set]".into()),
    };
    match result {
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
        let counted = count(name, many)?;
        let baseline = *baselines
            .get(name)
            .ok_or_else(|| format!("{BASELINES} has no {name}: make count-set"))?;
        let change = (counted as f64 / baseline as f64 - 1.0) * 100.0;
        println!("{name:28} {counted:>9} instructions, {change:+6.1} % of {baseline}");
        if counted > baseline + baseline / 10 {
            grown.push(name);
        }
    }
    match grown.as_slice() {
        [] => Ok(()),
        grown => Err(format!("more than 10 % above the baseline: {}", grown.join(", ")).into()),
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

/// The instructions of one repetition.
fn count(name: &str, many: usize) -> Outcome<u64> {
    let spent = instructions(name, FEW + many)?.checked_sub(instructions(name, FEW)?);
    Ok(spent.ok_or("the longer run took fewer instructions")? / many as u64)
}

/// The instructions of a whole run of this program with this many repetitions.
fn instructions(name: &str, repetitions: usize) -> Outcome<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=cachegrind", "--cache-sim=no"])
        .arg("--cachegrind-out-file=/dev/null")
        .arg(env::current_exe()?)
        .args(["run", name, &repetitions.to_string()])
        .output()
        .map_err(|error| format!("valgrind cannot be run: {error}"))?;
    let report = String::from_utf8_lossy(&output.stderr);
    let total = report
        .lines()
        .find_map(|line| line.split_once(" refs:"))
        .filter(|_| output.status.success())
        .ok_or_else(|| format!("{name} failed under valgrind: {report}"))?;
    Ok(total.1.trim().replace(',', "").parse()?)
}

fn run(name: &str, repetitions: &str) -> Outcome<()> {
    let counted = COUNTED.iter().find(|(known, ..)| *known == name);
    let (_, many, body) = counted.ok_or("no routine has this name")?;
    body(repetitions.parse()?, FEW + many);
    Ok(())
}
