-- Manifests, numbered without a gap. Each is a file in the storage that names bundles, with the hash
-- of each, and the hash of the manifest before it. sha256 is the hash of the file. So a bundle that
-- was changed or removed without a record does not fit its manifest, and a changed manifest does not
-- fit the next one. body: the text of a manifest whose file is not written yet; null afterwards.
CREATE TABLE archive_manifests (
  number bigint PRIMARY KEY,
  previous text NOT NULL,
  sha256 text NOT NULL,
  key text NOT NULL,
  bundles integer NOT NULL,
  workflows integer NOT NULL,
  bytes bigint NOT NULL,
  erased integer NOT NULL,
  body text,
  made_at timestamptz DEFAULT clock_timestamp() NOT NULL
);

CREATE INDEX archive_manifests_to_write ON archive_manifests (number) WHERE body IS NOT NULL;
