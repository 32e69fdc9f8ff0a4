-- Who stands at a kiosk: a command to it goes to each.
CREATE INDEX clients_by_kiosk ON clients (kiosk_id) WHERE kiosk_id IS NOT NULL;

CREATE TABLE lockers (
    id         TEXT    PRIMARY KEY,
    kiosk_id   TEXT    NOT NULL,
    state      TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX lockers_by_kiosk ON lockers (kiosk_id, id);

CREATE TABLE help_requests (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    -- None where an admin asked on a kiosk's behalf. Outlives the client.
    client_id  TEXT,
    kiosk_id   TEXT    NOT NULL,
    locker_no  INTEGER,
    category   TEXT    NOT NULL,
    note       TEXT,
    photo_url  TEXT,
    status     TEXT    NOT NULL CHECK (status IN ('open', 'acknowledged', 'resolved')),
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX help_by_client ON help_requests (client_id, id);
CREATE INDEX help_by_end ON help_requests (updated_at) WHERE status = 'resolved';

CREATE TABLE commands (
    number      INTEGER PRIMARY KEY AUTOINCREMENT,
    id          TEXT    NOT NULL UNIQUE,
    client_id   TEXT    NOT NULL,
    kiosk_id    TEXT    NOT NULL,
    type        TEXT    NOT NULL,
    locker_id   TEXT,
    -- JSON as the admin gave it.
    parameters  TEXT,
    -- The event that told the client: acknowledged, it proves delivery.
    event_id    INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,
    -- None while it waits for a result or its expiry.
    outcome     TEXT    CHECK (outcome IN ('applied', 'failed', 'expired')),
    message     TEXT,
    error       TEXT,
    finished_at INTEGER
) STRICT;
CREATE INDEX commands_by_client ON commands (client_id, number);
CREATE INDEX commands_open ON commands (client_id, number) WHERE outcome IS NULL;
CREATE INDEX commands_by_expiry ON commands (expires_at) WHERE outcome IS NULL;
CREATE INDEX commands_by_end ON commands (finished_at) WHERE finished_at IS NOT NULL;
