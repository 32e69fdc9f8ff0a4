//! Event ids, membership intervals, replays and trimming.

use super::*;
use crate::auth::Subject;
use crate::event::{Epoch, Event, EventType, Topic};

fn database() -> Connection {
    let db = Connection::open_in_memory().unwrap();
    db.execute_batch(&crate::store::MIGRATIONS.concat())
        .unwrap();
    db
}

fn tablet() -> Subject {
    Subject::Client("tablet".parse().unwrap())
}

fn area(name: &str) -> Topic {
    Topic::Area(name.parse().unwrap())
}

fn id(id: i64) -> EventId {
    EventId::new(id)
}

fn publish(db: &Connection, topics: &[Topic]) -> EventId {
    let event = NewEvent::new(
        EventType::AREA_UPDATED,
        &serde_json::json!({}),
        topics.to_vec(),
    );
    append(db, &event, Timestamp::from_unix_ms(5)).unwrap()
}

/// The tablet's intervals as `(from, until)`, without those that ended before `since`.
fn intervals(db: &Connection, since: i64) -> Vec<(i64, Option<i64>)> {
    let spans = spans_of(db, &tablet(), id(since)).unwrap();
    let bounds = |span: Span| (span.from.get(), span.until.map(EventId::get));
    spans.into_iter().map(bounds).collect()
}

#[test]
fn append_ids_rise_by_one_and_are_never_reused() {
    let db = database();
    assert_eq!(last_id(&db).unwrap(), id(0));
    let ids = [(); 3].map(|()| publish(&db, &[Topic::All]).get());
    assert_eq!(ids, [1, 2, 3]);
    db.execute("DELETE FROM events", []).unwrap();
    assert_eq!(last_id(&db).unwrap(), id(3));
    assert_eq!(publish(&db, &[Topic::All]), id(4));
}

#[test]
fn append_with_duplicate_topic_stores_it_once() {
    let db = database();
    publish(&db, &[Topic::All, area("kitchen"), Topic::All]);
    let kept: i64 = db
        .query_row("SELECT count(*) FROM event_topics", [], |row| row.get(0))
        .unwrap();
    assert_eq!(kept, 2);
}

#[test]
fn span_covers_its_topic_from_first_to_last_event() {
    let span = |until| Span {
        topic: area("kitchen"),
        from: id(3),
        until,
    };
    let covered = |span: Span, topic| -> Vec<i64> {
        (0..8)
            .filter(|n| span.covers(&area(topic), id(*n)))
            .collect()
    };
    assert_eq!(covered(span(Some(id(5))), "kitchen"), [3, 4, 5]);
    assert_eq!(covered(span(None), "kitchen"), [3, 4, 5, 6, 7]);
    assert!(covered(span(None), "bath").is_empty());
    assert!(covered(span(Some(id(2))), "kitchen").is_empty(), "empty");
    assert!(span(None).is_open() && !span(Some(id(9))).is_open());
    assert!(Span::always(Topic::All).covers(&Topic::All, id(0)));
}

#[test]
fn membership_opened_or_closed_twice_changes_once() {
    let db = database();
    let open = |from| open_membership(&db, &tablet(), &area("kitchen"), id(from)).unwrap();
    let close = |until| close_membership(&db, &tablet(), &area("kitchen"), id(until)).unwrap();
    close(1);
    assert!(intervals(&db, 0).is_empty());
    open(2);
    open(4);
    assert_eq!(intervals(&db, 0), [(2, None)], "it is open already");
    close(6);
    close(9);
    assert_eq!(intervals(&db, 0), [(2, Some(6))], "it is over already");
    open(8);
    assert_eq!(intervals(&db, 0), [(2, Some(6)), (8, None)]);
}

#[test]
fn empty_membership_can_be_reopened() {
    let db = database();
    let kitchen = area("kitchen");
    open_membership(&db, &tablet(), &kitchen, id(8)).unwrap();
    close_membership(&db, &tablet(), &kitchen, id(7)).unwrap();
    assert_eq!(intervals(&db, 0), [(8, Some(7))]);
    open_membership(&db, &tablet(), &kitchen, id(8)).unwrap();
    assert_eq!(intervals(&db, 0), [(8, None)]);
}

#[test]
fn spans_of_omits_spans_over_before_position() {
    let db = database();
    let kitchen = area("kitchen");
    open_membership(&db, &tablet(), &kitchen, id(2)).unwrap();
    close_membership(&db, &tablet(), &kitchen, id(6)).unwrap();
    assert_eq!(intervals(&db, 5).len(), 1, "event 6 is included");
    assert!(intervals(&db, 6).is_empty());
    let other = Subject::Client("other".parse().unwrap());
    assert!(spans_of(&db, &other, id(0)).unwrap().is_empty());
}

/// The event ids of a page.
fn replayed(page: &Page) -> Vec<i64> {
    let ids = page.events.iter().filter_map(Event::id);
    ids.map(EventId::get).collect()
}

#[test]
fn replay_returns_covered_events_in_order_once() {
    let db = database();
    let (kitchen, bath) = (area("kitchen"), area("bath"));
    for topics in [
        vec![kitchen.clone()],
        vec![bath.clone()],
        vec![kitchen.clone(), bath.clone()],
        vec![Topic::Admins],
        vec![kitchen.clone()],
        vec![bath.clone()],
    ] {
        publish(&db, &topics);
    }
    let spans = [
        Span::always(bath),
        Span {
            topic: kitchen,
            from: id(2),
            until: Some(id(4)),
        },
    ];
    let epoch = Epoch::from_stored("e");
    let read = |after, limit| replay(&db, &epoch, &spans, id(after), None, limit).unwrap();
    let all = read(0, 100);
    assert_eq!(replayed(&all), [2, 3, 6]);
    assert_eq!((all.reached, all.is_last), (id(6), true));
    assert_eq!(all.events[0].timestamp(), Timestamp::from_unix_ms(5));

    let first = read(0, 2);
    assert_eq!((replayed(&first), first.is_last), (vec![2, 3], false));
    let rest = read(first.reached.get(), 2);
    assert_eq!((replayed(&rest), rest.is_last), (vec![6], true));
    let nothing = read(6, 2);
    assert!(nothing.events.is_empty() && nothing.is_last);
    assert_eq!(nothing.reached, id(6));
}

#[test]
fn replay_past_other_topics_reaches_newest_id() {
    let db = database();
    for _ in 0..5 {
        publish(&db, &[Topic::Admins]);
    }
    let spans = [Span::always(area("kitchen"))];
    let page = replay(&db, &Epoch::from_stored("e"), &spans, id(0), None, 2).unwrap();
    assert!(page.events.is_empty() && page.is_last);
    assert_eq!(page.reached, id(5), "the next page starts after them");
}

/// A history with one event per entry of `minutes`, committed at that minute.
fn aged(minutes: impl IntoIterator<Item = i64>) -> Connection {
    let db = database();
    for minute in minutes {
        let topics = vec![Topic::All, area("kitchen")];
        let event = NewEvent::new(EventType::AREA_UPDATED, &serde_json::json!({}), topics);
        append(&db, &event, minutes_in(minute)).unwrap();
    }
    db
}

fn minutes_in(minute: i64) -> Timestamp {
    Timestamp::from_unix_ms(minute * 60_000)
}

fn count(db: &Connection, table: &str) -> i64 {
    let sql = format!("SELECT count(*) FROM {table}");
    db.query_row(&sql, [], |row| row.get(0)).unwrap()
}

#[test]
fn oldest_id_of_empty_history_is_next_id() {
    let db = database();
    assert_eq!(
        oldest_id(&db).unwrap(),
        id(1),
        "a position of 0 misses nothing"
    );
    publish(&db, &[Topic::All]);
    publish(&db, &[Topic::All]);
    assert_eq!(oldest_id(&db).unwrap(), id(1));
    trim(&db, minutes_in(1), 100, 500).unwrap();
    assert_eq!(
        (oldest_id(&db).unwrap(), last_id(&db).unwrap()),
        (id(3), id(2))
    );
    publish(&db, &[Topic::All]);
    assert_eq!(oldest_id(&db).unwrap(), id(3));
}

#[test]
fn trim_applies_stricter_of_age_and_count() {
    // Of ten events: the minimum age, the maximum count, and the oldest event that remains.
    for (since, keep, oldest) in [
        (0, 100, 1),
        (0, 10, 1),
        (0, 9, 2),
        (0, 1, 10),
        (4, 100, 4),
        (4, 8, 4),
        (4, 3, 8),
        (11, 100, 11),
    ] {
        let db = aged(1..=10);
        trim(&db, minutes_in(since), keep, 500).unwrap();
        assert_eq!(oldest_id(&db).unwrap(), id(oldest), "{since} {keep}");
        assert_eq!(last_id(&db).unwrap(), id(10));
        assert_eq!(count(&db, "events"), 11 - oldest);
        assert_eq!(count(&db, "event_topics"), 2 * (11 - oldest));
        assert_eq!(trim(&db, minutes_in(since), keep, 500).unwrap(), 0, "again");
    }
}

#[test]
fn trim_after_clock_jump_leaves_no_gap() {
    let db = aged([1, 2, 90, 3, 4]);
    trim(&db, minutes_in(50), 100, 500).unwrap();
    assert_eq!(oldest_id(&db).unwrap(), id(3), "younger than what follows");
    assert_eq!(count(&db, "events"), 3);
}

#[test]
fn trim_deletes_at_most_the_given_number() {
    let db = aged(1..=10);
    let mut steps = Vec::new();
    loop {
        let gone = trim(&db, minutes_in(9), 100, 3).unwrap();
        steps.push((gone, oldest_id(&db).unwrap().get()));
        if gone < 3 {
            break;
        }
    }
    assert_eq!(steps, [(3, 4), (3, 7), (2, 9)]);
}

#[test]
fn trim_by_count_is_exact_to_a_thousandth() {
    let db = aged((0..2_012).map(|_| 1));
    assert_eq!(trim(&db, minutes_in(0), 2_000, 500).unwrap(), 11);
    assert_eq!(oldest_id(&db).unwrap(), id(12), "12 could go as well");
}

#[test]
fn trim_deletes_memberships_without_events() {
    let db = aged(1..=10);
    let member = |name: &str, from, until| {
        open_membership(&db, &tablet(), &area(name), id(from)).unwrap();
        if let Some(until) = until {
            close_membership(&db, &tablet(), &area(name), id(until)).unwrap();
        }
    };
    member("over", 1, Some(4));
    member("empty", 4, Some(3));
    member("needed", 1, Some(5));
    member("open", 1, None);
    assert_eq!(trim(&db, minutes_in(5), 100, 500).unwrap(), 4);
    assert_eq!(intervals(&db, 0), [(1, Some(5)), (1, None)]);
    let spans = spans_of(&db, &tablet(), id(4)).unwrap();
    let page = replay(&db, &Epoch::from_stored("e"), &spans, id(4), None, 10).unwrap();
    assert!(page.events.is_empty(), "none of these areas has an event");
    trim(&db, minutes_in(6), 100, 500).unwrap();
    assert_eq!(intervals(&db, 0), [(1, None)]);
}

#[test]
fn latest_ended_sessions_keep_their_rooms() {
    let db = database();
    let room: Topic = "room:/:kitchen".parse().unwrap();
    let session = |n: usize| format!("conn_{n}").parse().unwrap();
    for n in 0..=MAX_ENDED_SESSIONS + 1 {
        open_room(&db, &session(n), &tablet(), &room, id(1)).unwrap();
        let at = Timestamp::from_unix_ms(i64::try_from(n).unwrap());
        set_session_end(&db, &session(n), Some(at)).unwrap();
    }
    let other = Subject::Client("other".parse().unwrap());
    open_room(&db, &session(900), &other, &room, id(1)).unwrap();
    open_room(&db, &session(901), &tablet(), &room, id(1)).unwrap();
    let kept = |n| !rooms_of(&db, &session(n), id(0)).unwrap().is_empty();
    assert!(!kept(0) && !kept(1) && kept(2) && kept(MAX_ENDED_SESSIONS + 1));
    assert!(kept(900) && kept(901));
}
