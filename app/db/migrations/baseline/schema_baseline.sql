-- One row: the checksum of the schema files that made this database. Until the first
-- release tag, a change of the schema edits these files instead of adding a migration. The code
-- refuses a database with another checksum.
CREATE TABLE schema_baseline (
  is_only boolean DEFAULT true PRIMARY KEY,
  checksum text NOT NULL,
  made_at timestamptz DEFAULT clock_timestamp() NOT NULL
);
