-- One row: which text of the schema has made this database. Until the first tag each change edits the
-- baseline, and a database of another text is not the one that the code expects.
CREATE TABLE schema_baseline (
  is_only boolean DEFAULT true PRIMARY KEY,
  checksum text NOT NULL,
  made_at timestamptz DEFAULT clock_timestamp() NOT NULL
);
