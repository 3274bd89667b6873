-- Files in the storage, each with all rows of one root workflow and its children. The key of a file
-- follows from id, which follows from the root and the content.
--
-- state:
--   writing: the file may exist, and the rows of the workflows do. noted_at is when it was last
--     written; much later, the file is given up.
--   sweeping: it was given up, and the file is being removed.
--   archived: the file was read back and verified, and the rows of the workflows are gone.
--   restored: the rows are there again. A later archive replaces the file.
--   replaced, expired: the file is to be removed as soon as a manifest tells of it.
--   erased: the file is gone.
-- types: the types of the workflows, whose definitions say how long each is kept. ended_at: when the
-- last of the workflows ended. manifest: the number of the manifest that names the file, and
-- erased_by: of the one that tells that the file is removed.
CREATE TABLE archive_bundles (
  id uuid PRIMARY KEY,
  root_id uuid NOT NULL,
  organisation_id uuid NOT NULL,
  sha256 bytea NOT NULL,
  size bigint NOT NULL,
  workflows integer NOT NULL,
  types text[] NOT NULL,
  ended_at timestamptz NOT NULL,
  state text NOT NULL,
  noted_at timestamptz DEFAULT clock_timestamp() NOT NULL,
  archived_at timestamptz,
  manifest bigint,
  erased_by bigint,
  CONSTRAINT archive_bundles_state CHECK (state IN (
    'writing', 'sweeping', 'archived', 'restored', 'replaced', 'expired', 'erased'))
)
WITH (autovacuum_vacuum_scale_factor = 0.05);

CREATE INDEX archive_bundles_of_root ON archive_bundles (root_id);
CREATE INDEX archive_bundles_unfinished ON archive_bundles (noted_at)
  WHERE state IN ('writing', 'sweeping', 'replaced', 'expired');
CREATE INDEX archive_bundles_unnamed ON archive_bundles (id)
  WHERE manifest IS NULL AND state NOT IN ('writing', 'sweeping');
CREATE INDEX archive_bundles_by_age ON archive_bundles (archived_at) WHERE state = 'archived';
CREATE INDEX archive_bundles_of_manifest ON archive_bundles (manifest);
