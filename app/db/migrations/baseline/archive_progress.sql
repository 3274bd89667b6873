-- At most one row: how far the search for workflows to archive has come, by the ids of roots, and what
-- the last run has done.
CREATE TABLE archive_progress (
  is_only boolean DEFAULT true PRIMARY KEY,
  looked_to uuid NOT NULL,
  ran_at timestamptz NOT NULL,
  result jsonb NOT NULL
);
