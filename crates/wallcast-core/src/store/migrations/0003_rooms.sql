-- Which rooms a session was in, as closed intervals of event ids; open while it still is. Kept
-- under its connection id, so that a recovered session has its rooms again (contract 4.4).
CREATE TABLE session_rooms (
    session     TEXT    NOT NULL,
    subject     TEXT    NOT NULL,
    topic       TEXT    NOT NULL,
    from_event  INTEGER NOT NULL,
    until_event INTEGER,
    -- When the session ended; none while it is open.
    ended_at    INTEGER,
    PRIMARY KEY (session, topic, from_event)
) STRICT, WITHOUT ROWID;
CREATE INDEX session_rooms_by_topic ON session_rooms (topic, subject);
CREATE INDEX session_rooms_by_last ON session_rooms (until_event) WHERE until_event IS NOT NULL;
CREATE INDEX session_rooms_by_end ON session_rooms (ended_at);
CREATE INDEX session_rooms_by_subject ON session_rooms (subject, ended_at);
