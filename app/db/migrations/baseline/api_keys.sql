-- API keys: the public prefix, and a keyed hash of the whole key. The key itself is shown once and
-- never stored.
CREATE TABLE api_keys (
  id uuid DEFAULT uuidv7() PRIMARY KEY,
  user_id uuid NOT NULL REFERENCES users (id),
  prefix text NOT NULL UNIQUE,
  digest bytea NOT NULL,
  created_at timestamptz DEFAULT clock_timestamp() NOT NULL,
  revoked_at timestamptz,
  is_admin boolean DEFAULT false NOT NULL
);

CREATE INDEX ix_api_keys_user_id ON api_keys (user_id);
