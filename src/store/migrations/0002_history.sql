-- What retention asks for: what is over, by when it ended.
CREATE INDEX memberships_by_end ON memberships (until_event) WHERE until_event IS NOT NULL;
CREATE INDEX tokens_by_end ON tokens (min(stands_until, coalesce(revoked_at, stands_until)));
CREATE INDEX audit_by_time ON audit (at);
