-- The status board (seed 2). What names neither organisation nor tenant is for everyone.
CREATE TABLE services (
    place           INTEGER PRIMARY KEY AUTOINCREMENT,
    id              TEXT    NOT NULL UNIQUE,
    name            TEXT    NOT NULL,
    description     TEXT    NOT NULL,
    -- How bad it is: 0 operational, 1 maintenance, 2 degraded, 3 partial outage, 4 major outage.
    status          INTEGER NOT NULL CHECK (status BETWEEN 0 AND 4),
    organization_id TEXT,
    tenant_id       TEXT,
    -- Kept by Wallcast itself and by nobody else.
    is_own          INTEGER NOT NULL,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL
) STRICT;
-- Whose services, and the worst of them at the end.
CREATE INDEX services_by_audience ON services (organization_id, tenant_id, status);

INSERT INTO services (id, name, description, status, is_own, created_at, updated_at)
VALUES ('database', 'Database', 'Keeps everything that Wallcast knows', 0, 1,
        unixepoch() * 1000, unixepoch() * 1000);

CREATE TABLE incidents (
    place           INTEGER PRIMARY KEY AUTOINCREMENT,
    id              TEXT    NOT NULL UNIQUE,
    title           TEXT    NOT NULL,
    description     TEXT    NOT NULL,
    status          TEXT    NOT NULL
        CHECK (status IN ('investigating', 'identified', 'monitoring', 'resolved')),
    severity        TEXT    NOT NULL,
    -- A JSON list. A service that is gone stays named: an incident tells what was.
    service_ids     TEXT    NOT NULL,
    organization_id TEXT,
    tenant_id       TEXT,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL,
    -- None while it is open.
    resolved_at     INTEGER
) STRICT;
CREATE INDEX incidents_by_audience ON incidents (organization_id, tenant_id, place);
-- Those that are open first, in their order; then what is over, by when it ended.
CREATE INDEX incidents_by_end ON incidents (resolved_at);

CREATE TABLE incident_updates (
    incident_id TEXT    NOT NULL REFERENCES incidents (id) ON DELETE CASCADE,
    number      INTEGER NOT NULL,
    status      TEXT    NOT NULL,
    message     TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    PRIMARY KEY (incident_id, number)
) STRICT, WITHOUT ROWID;

-- Tablets listen on their organisation and tenant together from now on; nothing was told there yet.
INSERT INTO memberships (subject, topic, from_event, until_event)
SELECT 'client:' || id, 'both:' || organization_id || ' ' || tenant_id, 0, NULL
FROM clients WHERE organization_id IS NOT NULL AND tenant_id IS NOT NULL;
