//! Where a session resumes. A [`ResumeHint`] is what the client sent, [`HistoryBounds`] is what the history can
//! replay, and [`StartPoint`] is what follows from the two (`docs/protocol.md#replay`, `docs/protocol.md#resync`).

use hyper::HeaderMap;
use rusqlite::Connection;
use serde::Serialize;
use serde_json::{Value, json};
use wallcast_core::auth::{Signer, Subject};
use wallcast_core::clock::Timestamp;
use wallcast_core::event::{Epoch, EventId, Namespace, Position};
use wallcast_core::history;
use wallcast_core::ids::ConnectionId;

use super::pid::Pid;

/// The last event that a client received, as the client states it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ResumePosition {
    /// The epoch of the history; the current one if the client states none.
    pub(super) epoch: Option<Epoch>,
    pub(super) id: EventId,
}

/// A client's position, or an error if what it sent is not one. The session opens either way; the error becomes
/// `resync_required`.
pub(super) type ResumeRequest = Result<ResumePosition, ResyncReason>;

/// Everything a client sent about resuming, not verified yet. A valid `pid` wins over `position`.
#[derive(Clone, Debug, Default)]
pub(super) struct ResumeHint {
    /// Socket.IO's `pid`.
    pub(super) pid: Option<String>,
    /// Socket.IO's `offset`: the last argument of the last durable event.
    pub(super) offset: Option<Position>,
    /// A position without a `pid`.
    pub(super) position: Option<ResumeRequest>,
}

/// The events that the history can replay at one moment: all of `epoch` from `oldest` to `last`.
#[derive(Clone, Debug)]
pub(super) struct HistoryBounds {
    pub(super) epoch: Epoch,
    pub(super) oldest: EventId,
    pub(super) last: EventId,
}

/// Where a session's events begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StartPoint {
    /// The session receives every durable event of its topics after this one.
    pub(super) after: EventId,
    /// The session that it resumes by `pid`, whose id and rooms it keeps, and that `pid`.
    pub(super) resumed: Option<(ConnectionId, String)>,
    pub(super) outcome: ResumeOutcome,
    /// Whether pending commands and messages follow the welcome: the client sent no position, or one that does not
    /// prove that it received them.
    pub(super) sends_pending: bool,
}

/// The result of a client's attempt to resume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ResumeOutcome {
    /// The client sent no position and no valid `pid`. It receives events from now on.
    Fresh,
    /// Everything after the position will be replayed.
    Recovered,
    /// The history cannot provide what was missed. The client gets `resync_required` and events from now on.
    Lost(ResyncReason),
}

/// Why the history cannot provide what was missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ResyncReason {
    /// The position belongs to another epoch: a backup was restored since.
    EpochChanged,
    /// The event after the position was deleted already.
    TooOld,
    /// The position is beyond the newest event.
    Ahead,
    /// The position could not be parsed.
    Unreadable,
}

impl ResumePosition {
    /// Reads the `Last-Event-ID` header, else `?since=ID&epoch=EPOCH`. A reconnecting `EventSource` sends the
    /// header beside the query of its first request, so the header wins.
    ///
    /// # Errors
    /// If `since` is not an event id.
    pub(super) fn from_request(
        headers: &HeaderMap,
        query: Option<&str>,
    ) -> Result<Option<ResumeRequest>, InvalidSince> {
        match headers.get("last-event-id") {
            Some(value) if !value.is_empty() => {
                let position = value.to_str().ok().and_then(Self::parse);
                Ok(Some(position.ok_or(ResyncReason::Unreadable)))
            }
            _ => Ok(Self::from_query(query.unwrap_or_default())?.map(Ok)),
        }
    }

    fn from_query(query: &str) -> Result<Option<Self>, InvalidSince> {
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

    /// Parses `EPOCH:ID` or a bare id.
    fn parse(text: &str) -> Option<Self> {
        if let Ok(Position { epoch, id }) = text.trim().parse() {
            let epoch = Some(epoch);
            return Some(Self { epoch, id });
        }
        let id = text.trim().parse().ok()?;
        Some(Self { epoch: None, id })
    }
}

/// `since` is not an event id.
#[derive(Clone, Copy, Debug)]
pub(super) struct InvalidSince;

impl ResumeHint {
    /// A hint without a `pid`.
    pub(super) fn from_position(position: Option<ResumeRequest>) -> Self {
        Self {
            position,
            ..Self::default()
        }
    }

    /// Reads Socket.IO's `auth` object. Stock clients put `pid` and `offset` there; pages that store their
    /// position put `lastEventId`, a number or a string, and `epoch`.
    pub(super) fn from_auth(auth: &Value) -> Self {
        let text = |key: &str| auth.get(key).and_then(Value::as_str);
        let position = match auth.get("lastEventId") {
            None | Some(Value::Null) => None,
            Some(value) => {
                let id = match value {
                    Value::String(text) => text.parse().ok(),
                    other => other.as_i64().filter(|id| *id >= 0).map(EventId::new),
                };
                let epoch = text("epoch").map(Epoch::from_stored);
                let position = id.map(|id| ResumePosition { epoch, id });
                Some(position.ok_or(ResyncReason::Unreadable))
            }
        };
        Self {
            pid: text("pid").map(str::to_owned),
            offset: text("offset").and_then(|text| text.parse().ok()),
            position,
        }
    }

    /// The offset, if it belongs to the session of `pid`. Stock clients keep an old offset beside a new pid, so one
    /// of another epoch or before the session's first event is ignored.
    fn offset_for(&self, pid: &Pid) -> Option<&Position> {
        self.offset
            .as_ref()
            .filter(|offset| offset.epoch == pid.epoch && offset.id >= pid.base)
    }

    /// Decides where a session of `subject` in `namespace` begins.
    pub(super) fn resolve(
        &self,
        signer: &Signer,
        subject: &Subject,
        namespace: Namespace,
        bounds: &HistoryBounds,
    ) -> StartPoint {
        let valid_pid = self
            .pid
            .as_ref()
            .and_then(|text| Some((Pid::open(text, signer, subject, namespace)?, text)));
        let (position, resumed, sends_pending) = match valid_pid {
            Some((pid, text)) => {
                let offset = self.offset_for(&pid).map(|offset| offset.id);
                let position = ResumePosition {
                    epoch: Some(pid.epoch.clone()),
                    id: offset.unwrap_or(pid.base),
                };
                // The last event of the welcome carries `base` as its offset. Without an offset the client has not
                // received the pending events.
                (position, Some((pid.id, text)), offset.is_none())
            }
            None => match &self.position {
                Some(Ok(position)) => (position.clone(), None, false),
                Some(Err(reason)) => {
                    return StartPoint::fresh(ResumeOutcome::Lost(*reason), bounds);
                }
                None => return StartPoint::fresh(ResumeOutcome::Fresh, bounds),
            },
        };
        match bounds.check(&position) {
            Ok(()) => StartPoint {
                after: position.id,
                resumed: resumed.map(|(id, text)| (id, text.clone())),
                outcome: ResumeOutcome::Recovered,
                sends_pending,
            },
            Err(reason) => StartPoint::fresh(ResumeOutcome::Lost(reason), bounds),
        }
    }
}

impl StartPoint {
    /// Begins after the newest event.
    pub(super) fn fresh(outcome: ResumeOutcome, bounds: &HistoryBounds) -> Self {
        Self {
            after: bounds.last,
            resumed: None,
            outcome,
            sends_pending: true,
        }
    }
}

impl HistoryBounds {
    /// Reads the current bounds. Call between two commits, with `last` the newest event.
    pub(super) fn read(db: &Connection, epoch: Epoch, last: EventId) -> rusqlite::Result<Self> {
        let oldest = history::oldest_id(db)?;
        Ok(Self {
            epoch,
            oldest,
            last,
        })
    }

    /// The data of `resync_required`.
    pub(super) fn resync_required(&self, reason: ResyncReason) -> Value {
        json!({
            "reason": reason,
            "oldestEventId": self.oldest,
            "lastEventId": self.last,
            "epoch": self.epoch.as_str(),
            "timestamp": Timestamp::now(),
        })
    }

    /// Checks that everything after a position can be replayed.
    ///
    /// # Errors
    /// Why it cannot.
    pub(super) fn check(&self, position: &ResumePosition) -> Result<(), ResyncReason> {
        if position
            .epoch
            .as_ref()
            .is_some_and(|epoch| *epoch != self.epoch)
        {
            Err(ResyncReason::EpochChanged)
        } else if position.id > self.last {
            Err(ResyncReason::Ahead)
        } else if position.id.next() < self.oldest {
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

    fn resolve(hint: &ResumeHint) -> StartPoint {
        let signer = Signer::new(&[7; KEY_BYTES]);
        hint.resolve(&signer, &client("a"), Namespace::Main, &bounds())
    }

    fn pid_of(subject: &Subject, namespace: Namespace, epoch_name: &str, base: i64) -> String {
        let pid = Pid {
            id: "conn_1".parse().unwrap(),
            epoch: epoch(epoch_name),
            base: EventId::new(base),
        };
        pid.seal(&Signer::new(&[7; KEY_BYTES]), subject, namespace)
    }

    fn pid(epoch_name: &str, base: i64) -> String {
        pid_of(&client("a"), Namespace::Main, epoch_name, base)
    }

    fn start_of(auth: Value) -> StartPoint {
        resolve(&ResumeHint::from_auth(&auth))
    }

    #[test]
    fn position_within_history_recovers_and_others_are_lost() {
        let table = [
            (Some("now"), 20, ResumeOutcome::Recovered),
            (None, 15, ResumeOutcome::Recovered),
            (Some("now"), 10, ResumeOutcome::Recovered),
            (Some("now"), 9, ResumeOutcome::Lost(ResyncReason::TooOld)),
            (Some("now"), 21, ResumeOutcome::Lost(ResyncReason::Ahead)),
            (
                Some("old"),
                15,
                ResumeOutcome::Lost(ResyncReason::EpochChanged),
            ),
        ];
        for (epoch_name, id, expected) in table {
            let position = ResumePosition {
                epoch: epoch_name.map(epoch),
                id: EventId::new(id),
            };
            let start = resolve(&ResumeHint::from_position(Some(Ok(position))));
            assert_eq!(start.outcome, expected, "{epoch_name:?} {id}");
            let after = match expected {
                ResumeOutcome::Recovered => id,
                _ => 20,
            };
            assert_eq!(start.after.get(), after);
        }
        assert_eq!(
            resolve(&ResumeHint::default()).outcome,
            ResumeOutcome::Fresh
        );
    }

    /// The requested position; id -1 stands for an unreadable one.
    fn requested(header: Option<&'static str>, query: &str) -> Option<(Option<Epoch>, i64)> {
        let mut headers = HeaderMap::new();
        if let Some(value) = header {
            headers.insert("last-event-id", value.parse().unwrap());
        }
        let request = ResumePosition::from_request(&headers, Some(query)).unwrap();
        request.map(|request| {
            request.map_or((None, -1), |position| (position.epoch, position.id.get()))
        })
    }

    #[test]
    fn last_event_id_header_wins_over_query() {
        let e1 = || Some(epoch("e1"));
        assert_eq!(requested(Some("e1:7"), "since=3"), Some((e1(), 7)));
        assert_eq!(requested(Some("7"), ""), Some((None, 7)));
        assert_eq!(requested(None, "since=3&epoch=e1"), Some((e1(), 3)));
        assert_eq!(requested(None, "since=3"), Some((None, 3)));
    }

    #[test]
    fn unreadable_position_is_lost() {
        for header in ["x", "e1:", "e1:x", "-1", "e1:-1", "9999999999999999999"] {
            assert_eq!(
                requested(Some(header), "since=3"),
                Some((None, -1)),
                "{header}"
            );
        }
        assert_eq!(requested(Some(""), ""), None);
        assert_eq!(requested(None, "epoch=e1"), None);
        assert!(ResumePosition::from_request(&HeaderMap::new(), Some("since=soon")).is_err());
        let lost = ResumeOutcome::Lost(ResyncReason::Unreadable);
        for id in [json!("x"), json!(-1), json!(5.5), json!(1e30), json!({})] {
            assert_eq!(start_of(json!({ "lastEventId": id })).outcome, lost);
        }
        assert_eq!(start_of(json!({ "lastEventId": "15" })).after.get(), 15);
        assert_eq!(
            start_of(json!({ "lastEventId": null })).outcome,
            ResumeOutcome::Fresh
        );
    }

    #[test]
    fn pid_resumes_at_its_base_or_at_a_later_offset() {
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
            let start = start_of(json!({ "pid": pid, "offset": offset }));
            assert_eq!(start.after.get(), after, "{offset:?}");
            assert_eq!(start.outcome, ResumeOutcome::Recovered);
            let offset_counts = matches!(offset, Some("now:17" | "now:13"));
            assert_eq!(start.sends_pending, !offset_counts, "{offset:?}");
            let (id, resumed_pid) = start.resumed.unwrap();
            assert_eq!((id.as_str(), resumed_pid), ("conn_1", pid));
        }
    }

    #[test]
    fn pid_of_another_epoch_is_lost() {
        let start = start_of(json!({ "pid": pid("old", 13), "offset": "old:15" }));
        assert_eq!(
            start.outcome,
            ResumeOutcome::Lost(ResyncReason::EpochChanged)
        );
        assert_eq!(start.resumed, None);
    }

    #[test]
    fn pid_of_another_principal_is_ignored() {
        let forged = pid("now", 13).replace(".13.", ".12.");
        let others = [
            pid_of(&client("b"), Namespace::Main, "now", 13),
            pid_of(&client("a"), Namespace::Help, "now", 13),
            forged,
            "a.b.c".to_owned(),
            String::new(),
        ];
        for pid in others {
            let start = start_of(json!({ "pid": pid, "offset": "now:15" }));
            assert_eq!(start.outcome, ResumeOutcome::Fresh, "{pid}");
            let with_position = json!({ "pid": pid, "lastEventId": 15, "epoch": "now" });
            assert_eq!(start_of(with_position).after.get(), 15);
        }
    }
}
