-- Files of the archive, each with the bundles of many families, one after the other. The key of a file
-- follows from its id.
--
-- state:
--   writing: the file may exist. noted_at is when it was begun; much later, it is given up.
--   kept: bundles of archive_bundles are in it.
--   sweeping: the file is being removed. The row is deleted after that.
CREATE TABLE archive_volumes (
  id uuid PRIMARY KEY,
  state text NOT NULL,
  noted_at timestamptz DEFAULT clock_timestamp() NOT NULL,
  CONSTRAINT archive_volumes_state CHECK (state IN ('writing', 'kept', 'sweeping'))
);

CREATE INDEX archive_volumes_unfinished ON archive_volumes (noted_at) WHERE state <> 'kept';
