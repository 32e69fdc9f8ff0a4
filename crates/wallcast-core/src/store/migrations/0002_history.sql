-- What retention asks for: what is over, by when it ended.
CREATE INDEX memberships_by_end ON memberships (until_event) WHERE until_event IS NOT NULL;
CREATE INDEX tokens_by_end ON tokens (min(stands_until, coalesce(revoked_at, stands_until)));
CREATE INDEX audit_by_time ON audit (at);

-- What a write with an Idempotency-Key answered. The scope is a hash of principal, method, path and
-- key; the answer never holds a secret.
CREATE TABLE answers (
    id         INTEGER PRIMARY KEY,
    scope      BLOB    NOT NULL UNIQUE,
    request    BLOB    NOT NULL,
    status     INTEGER NOT NULL,
    body       BLOB    NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX answers_by_time ON answers (created_at);
