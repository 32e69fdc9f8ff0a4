//! Where a session goes on from: what it says of its hint, and what the history makes of that
//! (contract 4.1 and 4.4).

use hyper::HeaderMap;
use rusqlite::Connection;
use serde::Serialize;
use serde_json::{Value, json};

use super::pid::Pid;
use wallcast_core::auth::{Signer, Subject};
use wallcast_core::clock::Timestamp;
use wallcast_core::event::{Epoch, EventId, Namespace, Position};
use wallcast_core::history;
use wallcast_core::ids::ConnectionId;

/// A place in a history, as a peer names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ResumePosition {
    /// Which history; the present one if it is not said.
    pub(super) epoch: Option<Epoch>,
    /// The last event that the peer was told.
    pub(super) id: EventId,
}

/// A position, or that one was named which is none.
pub(super) type ResumeRequest = Result<ResumePosition, ResyncReason>;

/// What a request says of its hint; nothing of it is proven yet.
#[derive(Clone, Debug, Default)]
pub(super) struct ResumeHint {
    /// Socket.IO's `pid`.
    pub(super) pid: Option<String>,
    /// Socket.IO's `offset`: the last argument of the last durable event.
    pub(super) offset: Option<Position>,
    /// A position without a `pid`.
    pub(super) position: Option<ResumeRequest>,
}

/// The history as it is at the moment of entering.
#[derive(Clone, Debug)]
pub(super) struct HistoryBounds {
    pub(super) epoch: Epoch,
    /// From this event on the history is whole.
    pub(super) oldest: EventId,
    pub(super) last: EventId,
}

/// How a session begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Start {
    /// It is told every durable event of its own after this one.
    pub(super) after: EventId,
    /// The session whose place it takes, with the `pid` that proves it.
    pub(super) continues: Option<(ConnectionId, String)>,
    pub(super) outcome: Outcome,
    /// Whether what waited for it then is to be told with the first words: it brings no position, or
    /// one that does not prove that it was told.
    pub(super) sends_pending: bool,
}

/// What became of a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// None was given, or none that counts.
    Fresh,
    /// Everything after it will be told.
    Recovered,
    /// The history cannot give what was missed: `resync_required`.
    Lost(ResyncReason),
}

/// Why the history cannot give what was missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ResyncReason {
    /// The position is of another history: the house was restored.
    EpochChanged,
    /// The history no longer reaches back that far.
    TooOld,
    /// The position is ahead of the history.
    Ahead,
    /// What was named is no position.
    Unreadable,
}

impl ResumePosition {
    /// `Last-Event-ID`, which a reconnecting `EventSource` brings beside the URL that it began with,
    /// else `?since=ID&epoch=EPOCH` (contract 4.2 and 4.3).
    ///
    /// # Errors
    /// When `since` is no event id.
    pub(super) fn of(
        headers: &HeaderMap,
        query: Option<&str>,
    ) -> Result<Option<ResumeRequest>, InvalidSince> {
        match headers.get("last-event-id") {
            Some(value) if !value.is_empty() => {
                let asked = value.to_str().ok().and_then(Self::parse);
                Ok(Some(asked.ok_or(ResyncReason::Unreadable)))
            }
            _ => Ok(Self::of_query(query.unwrap_or_default())?.map(Ok)),
        }
    }

    fn of_query(query: &str) -> Result<Option<Self>, InvalidSince> {
        let value = |name: &str| {
            form_urlencoded::parse(query.as_bytes())
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.into_owned())
        };
        let Some(since) = value("since") else {
            return Ok(None);
        };
        let id = since.parse().map_err(|_| InvalidSince)?;
        let epoch = value("epoch").filter(|text| !text.is_empty());
        let epoch = epoch.map(|text| Epoch::from_stored(&text));
        Ok(Some(Self { epoch, id }))
    }

    /// `EPOCH:ID`, or a bare id.
    fn parse(text: &str) -> Option<Self> {
        if let Ok(Position { epoch, id }) = text.trim().parse() {
            let epoch = Some(epoch);
            return Some(Self { epoch, id });
        }
        let id = text.trim().parse().ok()?;
        Some(Self { epoch: None, id })
    }
}

/// `since` is no whole number that is 0 or more.
#[derive(Clone, Copy, Debug)]
pub(super) struct InvalidSince;

impl ResumeHint {
    /// A hint that is told by its position alone.
    pub(super) fn at(position: Option<ResumeRequest>) -> Self {
        Self {
            position,
            ..Self::default()
        }
    }

    /// What Socket.IO's `auth` object says: stock clients put `pid` and `offset` there, pages that
    /// kept their position `lastEventId`, a number or its text, and `epoch` (contract 4.1).
    pub(super) fn from_auth(auth: &Value) -> Self {
        let text = |key: &str| auth.get(key).and_then(Value::as_str);
        let position = match auth.get("lastEventId") {
            None | Some(Value::Null) => None,
            Some(named) => {
                let id = match named {
                    Value::String(text) => text.parse().ok(),
                    other => other.as_i64().filter(|id| *id >= 0).map(EventId::new),
                };
                let epoch = text("epoch").map(Epoch::from_stored);
                let asked = id.map(|id| ResumePosition { epoch, id });
                Some(asked.ok_or(ResyncReason::Unreadable))
            }
        };
        Self {
            pid: text("pid").map(str::to_owned),
            offset: text("offset").and_then(|text| text.parse().ok()),
            position,
        }
    }

    /// How far the session of a pid came. Stock clients keep an old offset beside a new pid: one of
    /// another epoch or below the base says nothing.
    fn newer(&self, pid: &Pid) -> Option<&Position> {
        self.offset
            .as_ref()
            .filter(|offset| offset.epoch == pid.epoch && offset.id >= pid.base)
    }

    /// Where a session of `subject` in `namespace` begins.
    pub(super) fn resolve(
        &self,
        signer: &Signer,
        subject: &Subject,
        namespace: Namespace,
        now: &HistoryBounds,
    ) -> Start {
        let known = self
            .pid
            .as_ref()
            .and_then(|text| Some((Pid::open(text, signer, subject, namespace)?, text)));
        let (asked, known, sends_pending) = match known {
            Some((pid, text)) => {
                let newer = self.newer(&pid).map(|offset| offset.id);
                let asked = ResumePosition {
                    epoch: Some(pid.epoch.clone()),
                    id: newer.unwrap_or(pid.base),
                };
                // The last of the first words carries the base as its offset.
                (asked, Some((pid.id, text)), newer.is_none())
            }
            None => match &self.position {
                Some(Ok(asked)) => (asked.clone(), None, false),
                Some(Err(gap)) => return Start::fresh(Outcome::Lost(*gap), now),
                None => return Start::fresh(Outcome::Fresh, now),
            },
        };
        match now.judge(&asked) {
            Ok(()) => Start {
                after: asked.id,
                continues: known.map(|(id, text)| (id, text.clone())),
                outcome: Outcome::Recovered,
                sends_pending,
            },
            Err(gap) => Start::fresh(Outcome::Lost(gap), now),
        }
    }
}

impl Start {
    /// After the newest event, with what became of the position.
    pub(super) fn fresh(outcome: Outcome, now: &HistoryBounds) -> Self {
        Self {
            after: now.last,
            continues: None,
            outcome,
            sends_pending: true,
        }
    }
}

impl HistoryBounds {
    /// As it is now. Call between two commits, `last` being the newest event.
    ///
    /// # Errors
    /// SQLite's.
    pub(super) fn read(db: &Connection, epoch: Epoch, last: EventId) -> rusqlite::Result<Self> {
        let oldest = history::oldest_id(db)?;
        Ok(Self {
            epoch,
            oldest,
            last,
        })
    }

    /// `resync_required` `{reason, oldestEventId, lastEventId}` (contract 4.4).
    pub(super) fn resync_required(&self, gap: ResyncReason) -> Value {
        json!({
            "reason": gap,
            "oldestEventId": self.oldest,
            "lastEventId": self.last,
            "epoch": self.epoch.as_str(),
            "timestamp": Timestamp::now(),
        })
    }

    /// Whether everything after a position can be told.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn judge(&self, asked: &ResumePosition) -> Result<(), ResyncReason> {
        if asked
            .epoch
            .as_ref()
            .is_some_and(|epoch| *epoch != self.epoch)
        {
            Err(ResyncReason::EpochChanged)
        } else if asked.id > self.last {
            Err(ResyncReason::Ahead)
        } else if asked.id.next() < self.oldest {
            Err(ResyncReason::TooOld)
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wallcast_core::auth::KEY_BYTES;

    fn epoch(text: &str) -> Epoch {
        Epoch::from_stored(text)
    }

    fn bounds() -> HistoryBounds {
        HistoryBounds {
            epoch: epoch("now"),
            oldest: EventId::new(11),
            last: EventId::new(20),
        }
    }

    fn client(name: &str) -> Subject {
        Subject::Client(name.parse().unwrap())
    }

    fn resolve(hint: &ResumeHint) -> Start {
        let signer = Signer::new(&[7; KEY_BYTES]);
        hint.resolve(&signer, &client("a"), Namespace::Main, &bounds())
    }

    fn pid_of(subject: &Subject, namespace: Namespace, of: &str, base: i64) -> String {
        let pid = Pid {
            id: "conn_1".parse().unwrap(),
            epoch: epoch(of),
            base: EventId::new(base),
        };
        pid.seal(&Signer::new(&[7; KEY_BYTES]), subject, namespace)
    }

    fn pid(of: &str, base: i64) -> String {
        pid_of(&client("a"), Namespace::Main, of, base)
    }

    fn from(auth: Value) -> Start {
        resolve(&ResumeHint::from_auth(&auth))
    }

    #[test]
    fn a_position_is_taken_as_far_as_the_history_reaches() {
        let table = [
            (Some("now"), 20, Outcome::Recovered),
            (None, 15, Outcome::Recovered),
            (Some("now"), 10, Outcome::Recovered),
            (Some("now"), 9, Outcome::Lost(ResyncReason::TooOld)),
            (Some("now"), 21, Outcome::Lost(ResyncReason::Ahead)),
            (Some("old"), 15, Outcome::Lost(ResyncReason::EpochChanged)),
        ];
        for (of, id, expected) in table {
            let asked = ResumePosition {
                epoch: of.map(epoch),
                id: EventId::new(id),
            };
            let start = resolve(&ResumeHint::at(Some(Ok(asked))));
            assert_eq!(start.outcome, expected, "{of:?} {id}");
            let after = match expected {
                Outcome::Recovered => id,
                _ => 20,
            };
            assert_eq!(start.after.get(), after);
        }
        assert_eq!(resolve(&ResumeHint::default()).outcome, Outcome::Fresh);
    }

    fn asked(header: Option<&'static str>, query: &str) -> Option<(Option<Epoch>, i64)> {
        let mut headers = HeaderMap::new();
        if let Some(value) = header {
            headers.insert("last-event-id", value.parse().unwrap());
        }
        let asked = ResumePosition::of(&headers, Some(query)).unwrap();
        asked.map(|asked| asked.map_or((None, -1), |asked| (asked.epoch, asked.id.get())))
    }

    #[test]
    fn the_header_counts_more_than_the_query() {
        let of = |text| Some(epoch(text));
        assert_eq!(asked(Some("e1:7"), "since=3"), Some((of("e1"), 7)));
        assert_eq!(asked(Some("7"), ""), Some((None, 7)));
        assert_eq!(asked(None, "since=3&epoch=e1"), Some((of("e1"), 3)));
        assert_eq!(asked(None, "since=3"), Some((None, 3)));
    }

    #[test]
    fn what_is_named_and_no_position_is_said_to_be_lost() {
        for header in ["x", "e1:", "e1:x", "-1", "e1:-1", "9999999999999999999"] {
            assert_eq!(asked(Some(header), "since=3"), Some((None, -1)), "{header}");
        }
        assert_eq!(asked(Some(""), ""), None);
        assert_eq!(asked(None, "epoch=e1"), None);
        assert!(ResumePosition::of(&HeaderMap::new(), Some("since=soon")).is_err());
        let lost = Outcome::Lost(ResyncReason::Unreadable);
        for named in [json!("x"), json!(-1), json!(5.5), json!(1e30), json!({})] {
            assert_eq!(from(json!({ "lastEventId": named })).outcome, lost);
        }
        assert_eq!(from(json!({ "lastEventId": "15" })).after.get(), 15);
        assert_eq!(from(json!({ "lastEventId": null })).outcome, Outcome::Fresh);
    }

    #[test]
    fn a_pid_counts_alone_and_beside_an_offset_that_is_newer_than_its_base() {
        let table = [
            (None, 13),
            (Some("now:17"), 17),
            (Some("now:13"), 13),
            (Some("now:12"), 13),
            (Some("old:17"), 13),
            (Some("nonsense"), 13),
        ];
        for (offset, after) in table {
            let pid = pid("now", 13);
            let start = from(serde_json::json!({ "pid": pid, "offset": offset }));
            assert_eq!(start.after.get(), after, "{offset:?}");
            assert_eq!(start.outcome, Outcome::Recovered);
            let is_proven = matches!(offset, Some("now:17" | "now:13"));
            assert_eq!(start.sends_pending, !is_proven, "{offset:?}");
            let (id, same) = start.continues.unwrap();
            assert_eq!((id.as_str(), same), ("conn_1", pid));
        }
    }

    #[test]
    fn a_pid_of_another_house_time_says_that_something_was_lost() {
        let start = from(serde_json::json!({ "pid": pid("old", 13), "offset": "old:15" }));
        assert_eq!(start.outcome, Outcome::Lost(ResyncReason::EpochChanged));
        assert_eq!(start.continues, None);
    }

    #[test]
    fn a_pid_of_somebody_else_is_as_none() {
        let forged = pid("now", 13).replace(".13.", ".12.");
        let others = [
            pid_of(&client("b"), Namespace::Main, "now", 13),
            pid_of(&client("a"), Namespace::Help, "now", 13),
            forged,
            "a.b.c".to_owned(),
            String::new(),
        ];
        for pid in others {
            let start = from(serde_json::json!({ "pid": pid, "offset": "now:15" }));
            assert_eq!(start.outcome, Outcome::Fresh, "{pid}");
            let kept = serde_json::json!({ "pid": pid, "lastEventId": 15, "epoch": "now" });
            assert_eq!(from(kept).after.get(), 15);
        }
    }
}
