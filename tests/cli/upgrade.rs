//! Starts this program on a data folder of version 0.1 (`tests/fixtures/v0.1`). It migrates the database, accepts the
//! old tokens, answers what 0.1 answered, and sends a tablet the events that it missed.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    program::run_result,
    support::{Daemon, Socket, cli_on, is_private},
};

/// Long enough to keep the fixture's events until its tokens expire, in December 2036.
const OPTIONS: [(&str, &str); 3] = [
    ("HISTORY_DAYS", "3650"),
    ("HISTORY_EVENTS", "10000000"),
    ("ARCHIVE_DAYS", "36500"),
];

fn fixture_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v0.1")
}

/// What `make.py` noted beside the database: tokens, ids, and the answers of 0.1.
fn facts() -> Value {
    let text = fs::read_to_string(fixture_folder().join("fixture.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// A data folder as 0.1 left it when it was stopped.
fn data_folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["wallcast.db", "wallcast.lock"] {
        fs::copy(fixture_folder().join(name), folder.path().join(name)).unwrap();
    }
    folder
}

async fn start_on(folder: TempDir) -> Daemon {
    let options = OPTIONS.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Daemon::start_in(folder, options.to_vec()).await
}

fn token<'a>(facts: &'a Value, name: &str) -> &'a str {
    facts["tokens"][name].as_str().unwrap()
}

/// Opens a database without changing it or leaving files beside it.
fn open_immutable(path: &Path) -> Connection {
    let uri = format!("file:{}?mode=ro&immutable=1", path.display());
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    Connection::open_with_flags(uri, flags).unwrap()
}

fn number(db: &Connection, sql: &str) -> i64 {
    db.query_row(sql, [], |row| row.get(0)).unwrap()
}

/// Ids of the events that expire. They are replayed only until then, which may be long ago.
fn expiring_events() -> Vec<i64> {
    let db = open_immutable(&fixture_folder().join("wallcast.db"));
    let sql = "SELECT id FROM events WHERE expires_at IS NOT NULL";
    let mut statement = db.prepare(sql).unwrap();
    let ids = statement.query_map([], |row| row.get(0)).unwrap();
    ids.map(Result::unwrap).collect()
}

/// The first place where `new` lacks or contradicts something of `old`. A newer program may add fields to objects and
/// objects to lists; everything that 0.1 answered must still be there, in the same order.
fn difference(old: &Value, new: &Value, path: &str) -> Option<String> {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => old.iter().find_map(|(key, old)| {
            let new = new.get(key).unwrap_or(&Value::Null);
            difference(old, new, &format!("{path}.{key}"))
        }),
        (Value::Array(old), Value::Array(new)) if old.iter().all(Value::is_object) => {
            let mut rest = new.iter();
            old.iter().enumerate().find_map(|(index, old)| {
                let found = rest.any(|new| difference(old, new, "").is_none());
                (!found).then(|| format!("{path}[{index}]: no {old} in {new:?}"))
            })
        }
        _ => (old != new).then(|| format!("{path}: {old} became {new}")),
    }
}

/// Removes from an answer of 0.1 what changes with time, whichever program answers.
fn without_changing_parts(mut answer: Value, facts: &Value, expiring: &[i64]) -> Value {
    let object = answer.as_object_mut().unwrap();
    for key in ["timestamp", "lastEventId", "nextAfter"] {
        object.remove(key);
    }
    if let Some(Value::Array(events)) = object.get_mut("events") {
        events.retain(|event| !expiring.contains(&event["id"].as_i64().unwrap()));
    }
    if let Some(Value::Array(commands)) = object.get_mut("commands") {
        for command in commands {
            // It expires a week after it was made.
            if command["id"] == facts["pendingCommand"] {
                let command = command.as_object_mut().unwrap();
                command.remove("status").unwrap();
                command.remove("result").unwrap();
            }
        }
    }
    answer
}

/// Databases beside the newest one: copies from before a migration.
fn copies_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .filter(|path| path.extension().is_some_and(|end| end == "db"))
        .filter(|path| !path.ends_with("wallcast.db"))
        .collect()
}

#[test]
fn v01_fixture_has_rows_in_every_table() {
    let facts = facts();
    let db = open_immutable(&fixture_folder().join("wallcast.db"));
    assert_eq!(number(&db, "PRAGMA user_version"), facts["schema"]);
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table'";
    let mut statement = db.prepare(sql).unwrap();
    let tables = statement.query_map([], |row| row.get(0)).unwrap();
    let tables: Vec<String> = tables.map(Result::unwrap).collect();
    assert_eq!(tables.len(), facts["rows"].as_object().unwrap().len());
    for table in tables {
        let rows = number(&db, &format!("SELECT count(*) FROM {table}"));
        assert!(rows > 0, "{table}");
        assert_eq!(rows, facts["rows"][&table], "{table}");
    }
}

#[tokio::test]
async fn v01_folder_is_migrated_and_the_old_database_kept() {
    let old = fixture_folder().join("wallcast.db");
    let found = number(&open_immutable(&old), "PRAGMA user_version");
    let mut daemon = start_on(data_folder()).await;
    assert!(daemon.stop().await.success(), "{}", daemon.log());

    let folder = daemon.folder();
    let newest = open_immutable(&folder.join("wallcast.db"));
    let known = number(&newest, "PRAGMA user_version");
    let copies = copies_in(folder);
    if known == found {
        assert!(copies.is_empty(), "nothing was migrated: {copies:?}");
        return;
    }
    assert!(known > found, "{known}");
    let [copy] = copies.as_slice() else {
        panic!("one copy, not {copies:?}");
    };
    let name = copy.file_name().unwrap().to_str().unwrap();
    assert!(name.starts_with(&format!("wallcast.v{found}-")), "{name}");
    assert!(is_private(copy));
    let copy = open_immutable(copy);
    assert_eq!(number(&copy, "PRAGMA user_version"), found);
    for (table, rows) in facts()["rows"].as_object().unwrap() {
        let kept = number(&copy, &format!("SELECT count(*) FROM {table}"));
        assert_eq!(kept, *rows, "{table}");
    }
}

#[tokio::test]
async fn v01_folder_is_migrated_once() {
    let daemon = start_on(data_folder()).await;
    let copies = copies_in(daemon.folder());
    let daemon = daemon.restart().await;
    assert_eq!(copies_in(daemon.folder()), copies);
}

#[tokio::test]
async fn v01_tokens_are_accepted_unless_revoked_or_replaced() {
    let facts = facts();
    let daemon = start_on(data_folder()).await;
    for (name, role) in [
        ("admin", "admin"),
        ("kitchenWall", "client"),
        ("hallWall", "client"),
        ("ann", "user"),
    ] {
        let me = daemon.api(token(&facts, name)).get("/api/me").await;
        assert_eq!(me.expect(200).json["role"], role, "{name}");
    }
    // The last of them was replaced by a refresh, and had a minute left then.
    for name in ["revokedAdmin", "revokedTablet", "refreshedTablet"] {
        let refused = daemon.api(token(&facts, name)).get("/api/me").await;
        assert_eq!(refused.status, 401, "{name}: {}", refused.text);
        let opened = Socket::open(&daemon, "/ws", Some(token(&facts, name))).await;
        assert_eq!(opened.err(), Some(401), "{name}");
    }
    let session = facts["kitchenWallSessionId"].as_str().unwrap();
    let by_cookie = daemon
        .api(token(&facts, "ann"))
        .with_header("cookie", &format!("sessionId={session}"))
        .get("/api/me")
        .await;
    assert_eq!(by_cookie.status, 200, "{}", by_cookie.text);
}

#[tokio::test]
async fn v01_data_is_answered_as_before() {
    let facts = facts();
    let expiring = expiring_events();
    let daemon = start_on(data_folder()).await;
    let answers = facts["answers"].as_array().unwrap();
    for answer in answers {
        let (name, path) = (
            answer["as"].as_str().unwrap(),
            answer["path"].as_str().unwrap(),
        );
        let old = without_changing_parts(answer["json"].clone(), &facts, &expiring);
        let new = daemon.api(token(&facts, name)).get(path).await;
        let new = new.expect(200).json;
        let difference = difference(&old, &new, path);
        assert_eq!(difference, None, "as {name}");
        for list in [
            "areas", "clients", "lockers", "messages", "commands", "tokens",
        ] {
            let count = |answer: &Value| answer[list].as_array().map(Vec::len);
            assert_eq!(count(&new), count(&old), "as {name}: {list} of {path}");
        }
    }
}

/// The durable events that the socket receives, up to and with the last of `missed`.
async fn events_until(socket: &mut Socket, missed: &[Value]) -> Vec<Value> {
    let last = missed.last().unwrap()["id"].as_i64().unwrap();
    let mut events = Vec::new();
    loop {
        let event = socket.next().await;
        if let Some(id) = event["id"].as_i64() {
            events.push(event);
            if id >= last {
                return events;
            }
        }
    }
}

#[tokio::test]
async fn v01_tablet_resumes_with_its_position() {
    let facts = facts();
    let daemon = start_on(data_folder()).await;
    let position = &facts["position"];
    let path = format!(
        "/ws?since={}&epoch={}",
        position["lastEventId"],
        position["epoch"].as_str().unwrap()
    );
    let mut socket = Socket::open(&daemon, &path, Some(token(&facts, "kitchenWall")))
        .await
        .unwrap();
    let welcome = socket.next().await;
    assert_eq!(welcome["type"], "connection");
    assert_eq!(welcome["data"]["recovered"], true, "{welcome}");
    assert_eq!(welcome["data"]["epoch"], position["epoch"]);
    let missed = facts["missed"].as_array().unwrap();
    let events = events_until(&mut socket, missed).await;
    assert_eq!(events.len(), missed.len(), "{events:#?}");
    for (old, new) in missed.iter().zip(&events) {
        assert_eq!(difference(old, new, "event"), None);
    }

    // What happens from now on has a later id.
    let admin = daemon.api(token(&facts, "admin"));
    let path = format!("/api/areas/{}", facts["areas"]["kitchen"].as_str().unwrap());
    admin
        .patch(&path, json!({ "name": "Galley" }))
        .await
        .expect(200);
    let event = socket.next_of("area_updated").await;
    assert!(event["id"].as_i64() > missed.last().unwrap()["id"].as_i64());
}

#[tokio::test]
async fn v01_tablet_resumes_with_its_rooms() {
    let facts = facts();
    let daemon = start_on(data_folder()).await;
    let mut socket = daemon.listen(token(&facts, "kitchenWall")).await;
    let mut resume = facts["position"].clone();
    resume["type"] = "resume".into();
    socket.send(resume).await;
    let missed = facts["missed"].as_array().unwrap();
    let events = events_until(&mut socket, missed).await;
    let notes = events
        .iter()
        .filter(|event| event["type"] == "fixture_note");
    let notes: Vec<&Value> = notes.map(|event| &event["data"]["text"]).collect();
    assert_eq!(notes, ["for the tablet", "for its room", "for all"]);
}

#[tokio::test]
async fn v01_pending_command_is_kept_or_has_expired() {
    let facts = facts();
    let daemon = start_on(data_folder()).await;
    let path = format!(
        "/api/commands/{}",
        facts["pendingCommand"].as_str().unwrap()
    );
    let command = daemon.api(token(&facts, "hallWall")).get(&path).await;
    let command = command.expect(200).json;
    let status = command["status"].as_str().unwrap();
    assert!(["pending", "expired"].contains(&status), "{command}");
    assert_eq!(command["type"], "sync");
}

#[tokio::test]
async fn v01_database_without_lock_file_counts_as_restored() {
    let facts = facts();
    let folder = data_folder();
    fs::remove_file(folder.path().join("wallcast.lock")).unwrap();
    let daemon = start_on(folder).await;
    let admin = daemon.api(token(&facts, "admin"));
    let events = admin.get("/api/events?limit=1").await.expect(200).json;
    assert_ne!(events["epoch"], facts["position"]["epoch"]);
    let audit = admin.get("/api/audit?limit=1").await.expect(200).json;
    assert_eq!(audit["entries"][0]["action"], "house_restored");
}

#[tokio::test]
async fn v01_database_is_read_by_check_and_restore() {
    let folder = data_folder();
    let check = cli_on(folder.path(), &["check"]).await;
    assert!(check.status.success(), "{check:?}");

    let new_folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("wallcast.db");
    let restored = cli_on(new_folder.path(), &["restore", file.to_str().unwrap()]).await;
    let restored = run_result(restored);
    assert!(restored.stdout().contains("Kitchen wall"), "{restored:?}");
    let daemon = start_on(new_folder).await;
    let facts = facts();
    let me = daemon
        .api(token(&facts, "kitchenWall"))
        .get("/api/me")
        .await;
    assert_eq!(me.expect(200).json["client"]["name"], "Kitchen wall");
}
