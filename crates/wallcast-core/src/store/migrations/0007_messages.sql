-- When an event is past its use: it is replayed to nobody from then on.
ALTER TABLE events ADD COLUMN expires_at INTEGER;

-- A conversation is of two sides (`admin`, `all`, `client:ID`, `user:ID`, in order) on one platform.
CREATE TABLE conversations (
    seq          INTEGER PRIMARY KEY AUTOINCREMENT,
    id           TEXT    NOT NULL UNIQUE,
    one          TEXT    NOT NULL,
    other        TEXT    NOT NULL,
    platform     TEXT    NOT NULL,
    -- How many messages of it are kept.
    messages     INTEGER NOT NULL,
    last_message INTEGER,
    updated_at   INTEGER NOT NULL,
    UNIQUE (one, other, platform)
) STRICT;
CREATE INDEX conversations_by_update ON conversations (updated_at);

-- Who lists which conversation, newest first. Admins list every one.
CREATE TABLE conversation_sides (
    conversation INTEGER NOT NULL REFERENCES conversations (seq) ON DELETE CASCADE,
    party        TEXT    NOT NULL,
    updated_at   INTEGER NOT NULL,
    PRIMARY KEY (conversation, party)
) STRICT, WITHOUT ROWID;
CREATE INDEX conversation_sides_by_update ON conversation_sides (party, updated_at, conversation);

CREATE TABLE messages (
    seq          INTEGER PRIMARY KEY AUTOINCREMENT,
    id           TEXT    NOT NULL UNIQUE,
    conversation INTEGER NOT NULL REFERENCES conversations (seq) ON DELETE CASCADE,
    sender       TEXT    NOT NULL,
    recipient    TEXT    NOT NULL,
    body         TEXT    NOT NULL,
    level        TEXT    NOT NULL,
    -- 0 sent, 1 delivered, 2 read; of a message to all the furthest that anybody is.
    status       INTEGER NOT NULL,
    -- The recipient's `new_message`, which an `ack` reaches.
    event_id     INTEGER,
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER
) STRICT;
CREATE INDEX messages_by_conversation ON messages (conversation, seq);
CREATE INDEX messages_by_sender ON messages (sender, seq);
CREATE INDEX messages_by_recipient ON messages (recipient, seq);
CREATE INDEX messages_by_time ON messages (created_at);
CREATE INDEX messages_undelivered ON messages (recipient, event_id) WHERE status = 0;
CREATE INDEX messages_unread ON messages (recipient, conversation, expires_at) WHERE status < 2;
CREATE TRIGGER messages_gone AFTER DELETE ON messages BEGIN
    UPDATE conversations SET messages = messages - 1 WHERE seq = OLD.conversation;
END;

-- How far each tablet and person is with a message to all.
CREATE TABLE receipts (
    message INTEGER NOT NULL REFERENCES messages (seq) ON DELETE CASCADE,
    party   TEXT    NOT NULL,
    status  INTEGER NOT NULL,
    PRIMARY KEY (message, party)
) STRICT, WITHOUT ROWID;

-- When a person's last session ended.
CREATE TABLE people (
    user_id      TEXT    PRIMARY KEY,
    last_seen_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX people_by_time ON people (last_seen_at);
