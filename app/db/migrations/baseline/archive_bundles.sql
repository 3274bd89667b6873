-- Bundles: each has all rows of one root workflow and its children, and is a part of a file, a volume,
-- from the byte `start` on. sha256 is the hash of this part. id follows from the volume and the root.
--
-- state:
--   archived: the bundle was read back and verified, and the rows of the workflows are gone.
--   restored: the rows are there again. A later archive replaces the bundle.
--   replaced, expired: it is to be removed as soon as a manifest tells of it.
--   erased: it is in no file any more.
-- types: the types of the workflows, whose definitions say how long each is kept. ended_at: when the
-- last of the workflows ended. expires_at: it is not erased before; null: it is kept for ever. manifest: the number of the manifest that names the bundle, and
-- erased_by: of the one that tells that it is removed.
CREATE TABLE archive_bundles (
  id uuid PRIMARY KEY,
  root_id uuid NOT NULL,
  organisation_id uuid NOT NULL,
  volume_id uuid NOT NULL,
  start bigint NOT NULL,
  size bigint NOT NULL,
  archived_at timestamptz NOT NULL,
  ended_at timestamptz NOT NULL,
  expires_at timestamptz,
  manifest bigint,
  erased_by bigint,
  workflows integer NOT NULL,
  sha256 bytea NOT NULL,
  types text[] NOT NULL,
  state text NOT NULL,
  CONSTRAINT archive_bundles_state CHECK (state IN (
    'archived', 'restored', 'replaced', 'expired', 'erased'))
)
WITH (autovacuum_vacuum_scale_factor = 0.05);

CREATE INDEX archive_bundles_of_root ON archive_bundles (root_id);
CREATE INDEX archive_bundles_of_volume ON archive_bundles (volume_id);
CREATE INDEX archive_bundles_to_remove ON archive_bundles (volume_id)
  WHERE state IN ('replaced', 'expired');
CREATE INDEX archive_bundles_unnamed ON archive_bundles (id) WHERE manifest IS NULL;
CREATE INDEX archive_bundles_by_age ON archive_bundles (archived_at) WHERE state = 'archived';
CREATE INDEX archive_bundles_expiring ON archive_bundles (expires_at) WHERE state = 'archived';
CREATE INDEX archive_bundles_of_manifest ON archive_bundles (manifest);
