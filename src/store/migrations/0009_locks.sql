-- The last state of each lock of a mirrored area, which is a locker too: so that a change is told with
-- the state before it, also over a restart. Which locks there are is known from area_entities.
CREATE TABLE lock_states (
    entity_id  TEXT    PRIMARY KEY,
    state      TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
