-- Whether it was told that a message is past its expiry, and so no longer waits unread.
ALTER TABLE messages ADD COLUMN has_lapsed INTEGER NOT NULL DEFAULT 0;
-- One to all is read as soon as anybody has read it, and may be unread by others.
CREATE INDEX messages_by_expiry ON messages (expires_at)
    WHERE expires_at IS NOT NULL AND has_lapsed = 0 AND (status < 2 OR recipient = 'all');
