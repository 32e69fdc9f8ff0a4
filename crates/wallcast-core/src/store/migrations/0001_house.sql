-- What the house itself keeps: epoch, signing key, certificate authority, leaf certificate.
CREATE TABLE house (
    key   TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE areas (
    room_id    INTEGER PRIMARY KEY AUTOINCREMENT,
    id         TEXT    NOT NULL UNIQUE,
    name       TEXT    NOT NULL,
    is_enabled INTEGER NOT NULL,
    source     TEXT    NOT NULL CHECK (source IN ('local', 'homeassistant')),
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

CREATE TABLE area_entities (
    area_id   TEXT    NOT NULL REFERENCES areas (id) ON DELETE CASCADE,
    entity_id TEXT    NOT NULL,
    position  INTEGER NOT NULL,
    PRIMARY KEY (area_id, entity_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX area_entities_by_entity ON area_entities (entity_id, area_id);

CREATE TABLE clients (
    id                  TEXT    PRIMARY KEY,
    name                TEXT    NOT NULL,
    is_active           INTEGER NOT NULL,
    organization_id     TEXT,
    tenant_id           TEXT,
    kiosk_id            TEXT,
    platform            TEXT,
    created_at          INTEGER NOT NULL,
    last_seen_at        INTEGER,
    last_acked_event_id INTEGER
) STRICT, WITHOUT ROWID;

-- Who has which area now. How it was at an earlier event stands in memberships.
CREATE TABLE client_areas (
    client_id TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    area_id   TEXT NOT NULL REFERENCES areas (id) ON DELETE CASCADE,
    PRIMARY KEY (client_id, area_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX client_areas_by_area ON client_areas (area_id, client_id);

-- Durable events; ids rise in the order of commits and are never given twice.
CREATE TABLE events (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    type       TEXT    NOT NULL,
    data       TEXT    NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE event_topics (
    topic    TEXT    NOT NULL,
    event_id INTEGER NOT NULL REFERENCES events (id) ON DELETE CASCADE,
    PRIMARY KEY (topic, event_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX event_topics_by_event ON event_topics (event_id);

-- Which topics a principal listened on, as closed intervals of event ids; open while it still does.
CREATE TABLE memberships (
    subject     TEXT    NOT NULL,
    topic       TEXT    NOT NULL,
    from_event  INTEGER NOT NULL,
    until_event INTEGER,
    PRIMARY KEY (subject, topic, from_event)
) STRICT, WITHOUT ROWID;

-- Claims of every token ever made, never the token: it can be signed again until its first use.
CREATE TABLE tokens (
    jti             TEXT    PRIMARY KEY,
    role            TEXT    NOT NULL CHECK (role IN ('admin', 'client', 'user')),
    subject         TEXT    NOT NULL,
    name            TEXT    NOT NULL,
    email           TEXT,
    organization_id TEXT,
    tenant_id       TEXT,
    issued_at       INTEGER NOT NULL,
    expires_at      INTEGER NOT NULL,
    -- After a refresh the old token stands until here although it says a later expiry.
    stands_until    INTEGER NOT NULL,
    revoked_at      INTEGER,
    first_used_at   INTEGER,
    -- What a refresh gave in its place: asked again, it gives the same.
    successor       TEXT,
    created_by      TEXT    NOT NULL,
    -- The pairing it answers, and until when the answer may be asked for again.
    pairing_id      TEXT,
    pairing_until   INTEGER,
    claim_hash      BLOB
) STRICT, WITHOUT ROWID;
CREATE INDEX tokens_by_subject ON tokens (role, subject);
CREATE INDEX tokens_by_age ON tokens (issued_at, jti);
CREATE UNIQUE INDEX tokens_by_pairing ON tokens (pairing_id) WHERE pairing_id IS NOT NULL;
CREATE INDEX tokens_by_claim ON tokens (claim_hash) WHERE claim_hash IS NOT NULL;

-- Session ids (seed 3), as SHA-256; each ends with its token.
CREATE TABLE auth_sessions (
    id_hash    BLOB    PRIMARY KEY,
    jti        TEXT    NOT NULL REFERENCES tokens (jti) ON DELETE CASCADE,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX auth_sessions_by_token ON auth_sessions (jti);

CREATE TABLE audit (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    at      INTEGER NOT NULL,
    actor   TEXT    NOT NULL,
    action  TEXT    NOT NULL,
    target  TEXT,
    address TEXT    NOT NULL,
    detail  TEXT    NOT NULL
) STRICT;
