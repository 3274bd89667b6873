-- Versions of prompts. body: {messages, variables, settings, tests, description}, see
-- chains/prompts/body.py. checksum: the SHA-256 of the body, which steps record as the hash.
-- description: that of the body, for lists.
CREATE TABLE prompt_versions (
  prompt_id uuid NOT NULL REFERENCES prompts (id),
  version integer NOT NULL,
  body jsonb NOT NULL,
  checksum text NOT NULL,
  description text,
  created_by uuid NOT NULL REFERENCES users (id),
  created_at timestamptz DEFAULT clock_timestamp() NOT NULL,
  PRIMARY KEY (prompt_id, version)
);

-- Whoever makes a version looks for one with the same body. The version, so that the first is found
-- without the rows.
CREATE INDEX prompt_versions_by_checksum ON prompt_versions (prompt_id, checksum, version);
