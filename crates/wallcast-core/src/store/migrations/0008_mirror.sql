-- A lock of a mirrored area is a locker too: Home Assistant says that it is there and how it is.
ALTER TABLE lockers ADD COLUMN is_mirrored INTEGER NOT NULL DEFAULT 0;
CREATE INDEX areas_by_source ON areas (source) WHERE source <> 'local';
