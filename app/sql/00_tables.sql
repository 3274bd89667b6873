-- The tables of the first release; app/db/models.py describes the same to SQLAlchemy.
CREATE TABLE users (
  id UUID DEFAULT uuidv7() NOT NULL,
  email TEXT NOT NULL,
  created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
  PRIMARY KEY (id),
  UNIQUE (email)
);

CREATE TABLE definitions (
  name TEXT NOT NULL,
  version INTEGER NOT NULL,
  body JSONB NOT NULL,
  checksum TEXT NOT NULL,
  active BOOLEAN NOT NULL,
  created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
  PRIMARY KEY (name, version)
);

CREATE UNIQUE INDEX definitions_one_active ON definitions (name) WHERE active;

CREATE TABLE webhook_deliveries (
  id UUID DEFAULT uuidv7() NOT NULL,
  platform TEXT NOT NULL,
  delivery_id TEXT NOT NULL,
  external_id TEXT,
  kind TEXT NOT NULL,
  payload JSONB NOT NULL,
  received_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
  consumed_at TIMESTAMP WITH TIME ZONE,
  PRIMARY KEY (id),
  CONSTRAINT webhook_deliveries_once UNIQUE (platform, delivery_id)
);

CREATE INDEX webhook_deliveries_by_external_id ON webhook_deliveries (external_id) WHERE external_id IS NOT NULL;

CREATE TABLE platform_logs (
  id BIGINT GENERATED ALWAYS AS IDENTITY,
  workflow_id UUID,
  step_key TEXT,
  platform TEXT NOT NULL,
  action TEXT NOT NULL,
  status TEXT NOT NULL,
  response_time INTEGER NOT NULL,
  created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
  PRIMARY KEY (id)
);

CREATE INDEX ix_platform_logs_workflow_id ON platform_logs (workflow_id);

CREATE TABLE platform_health (
  platform TEXT NOT NULL,
  is_ok BOOLEAN NOT NULL,
  error TEXT,
  response_time INTEGER NOT NULL,
  checked_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
  PRIMARY KEY (platform)
);

CREATE TABLE clock_offset (
  is_only BOOLEAN DEFAULT true NOT NULL,
  amount INTERVAL NOT NULL,
  PRIMARY KEY (is_only)
);

CREATE TABLE reconciler_beat (
  is_only BOOLEAN DEFAULT true NOT NULL,
  beat_at TIMESTAMP WITH TIME ZONE NOT NULL,
  grace_until TIMESTAMP WITH TIME ZONE NOT NULL,
  PRIMARY KEY (is_only)
);

CREATE TABLE api_keys (
  id UUID DEFAULT uuidv7() NOT NULL,
  user_id UUID NOT NULL,
  prefix TEXT NOT NULL,
  digest BYTEA NOT NULL,
  created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
  revoked_at TIMESTAMP WITH TIME ZONE,
  PRIMARY KEY (id),
  FOREIGN KEY(user_id) REFERENCES users (id),
  UNIQUE (prefix)
);

CREATE INDEX ix_api_keys_user_id ON api_keys (user_id);

CREATE TABLE workflows (
  id UUID DEFAULT uuidv7() NOT NULL,
  user_id UUID NOT NULL,
  type TEXT NOT NULL,
  version INTEGER NOT NULL,
  status TEXT NOT NULL,
  cause TEXT,
  attention TEXT,
  paused_at TIMESTAMP WITH TIME ZONE,
  input JSONB NOT NULL,
  output JSONB,
  error JSONB,
  priority SMALLINT DEFAULT 5 NOT NULL,
  idempotency_key TEXT,
  request_hash BYTEA,
  next_wake_at TIMESTAMP WITH TIME ZONE,
  expires_at TIMESTAMP WITH TIME ZONE,
  created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
  started_at TIMESTAMP WITH TIME ZONE,
  completed_at TIMESTAMP WITH TIME ZONE,
  PRIMARY KEY (id),
  FOREIGN KEY(type, version) REFERENCES definitions (name, version),
  CONSTRAINT workflows_status CHECK (status IN ('pending', 'running', 'succeeded', 'failed', 'compensating', 'compensated', 'cancelled')),
  CONSTRAINT workflows_cause CHECK (cause IN ('failed', 'timed_out', 'cancelled', 'over_budget')),
  CONSTRAINT workflows_priority CHECK (priority BETWEEN 1 AND 9),
  CONSTRAINT workflows_always_looked_at CHECK (status IN ('succeeded', 'failed', 'compensated', 'cancelled') OR (next_wake_at IS NOT NULL AND isfinite(next_wake_at))),
  FOREIGN KEY(user_id) REFERENCES users (id)
);

CREATE INDEX workflows_due ON workflows (next_wake_at) WHERE completed_at IS NULL;

CREATE UNIQUE INDEX workflows_idempotency ON workflows (user_id, idempotency_key) WHERE idempotency_key IS NOT NULL;

CREATE INDEX workflows_by_user ON workflows (user_id, id);

CREATE TABLE artifacts (
  id UUID DEFAULT uuidv7() NOT NULL,
  user_id UUID NOT NULL,
  workflow_id UUID,
  step_key TEXT,
  name TEXT NOT NULL,
  content_type TEXT NOT NULL,
  size BIGINT NOT NULL,
  width INTEGER,
  height INTEGER,
  sha256 TEXT NOT NULL,
  vendor_sha256 TEXT,
  storage_key TEXT NOT NULL,
  created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
  erased_at TIMESTAMP WITH TIME ZONE,
  PRIMARY KEY (id),
  FOREIGN KEY(user_id) REFERENCES users (id)
);

CREATE INDEX artifacts_by_user ON artifacts (user_id, id);

CREATE INDEX artifacts_uploads_by_age ON artifacts (created_at) WHERE workflow_id IS NULL AND erased_at IS NULL;

CREATE INDEX artifacts_by_step ON artifacts (workflow_id, step_key) WHERE workflow_id IS NOT NULL;

CREATE TABLE steps (
  workflow_id UUID NOT NULL,
  key TEXT NOT NULL,
  task_id UUID NOT NULL,
  position INTEGER NOT NULL,
  action TEXT NOT NULL,
  status TEXT NOT NULL,
  undo BOOLEAN DEFAULT false NOT NULL,
  next_keys TEXT[],
  join_key TEXT,
  item_heads TEXT[],
  item_count INTEGER,
  next_item INTEGER,
  remaining INTEGER,
  fence UUID,
  tries INTEGER DEFAULT 0 NOT NULL,
  claims INTEGER DEFAULT 0 NOT NULL,
  crashes INTEGER DEFAULT 0 NOT NULL,
  generation INTEGER DEFAULT 0 NOT NULL,
  lease_until TIMESTAMP WITH TIME ZONE,
  deadline_at TIMESTAMP WITH TIME ZONE,
  wake_at TIMESTAMP WITH TIME ZONE,
  expires_at TIMESTAMP WITH TIME ZONE,
  publish_after TIMESTAMP WITH TIME ZONE,
  item JSONB,
  input JSONB,
  output JSONB,
  error JSONB,
  external_id TEXT,
  cost BIGINT DEFAULT 0 NOT NULL,
  started_at TIMESTAMP WITH TIME ZONE,
  finished_at TIMESTAMP WITH TIME ZONE,
  PRIMARY KEY (workflow_id, key),
  CONSTRAINT steps_status CHECK (status IN ('pending', 'running', 'waiting', 'unknown', 'succeeded', 'failed', 'skipped', 'cancelled', 'compensated')),
  FOREIGN KEY(workflow_id) REFERENCES workflows (id)
)
 WITH (fillfactor = 70);

CREATE INDEX steps_by_external_id ON steps (external_id) WHERE external_id IS NOT NULL;

CREATE INDEX steps_by_task_id ON steps (task_id);

CREATE TABLE events (
  workflow_id UUID NOT NULL,
  seq INTEGER NOT NULL,
  body TEXT NOT NULL,
  hash BYTEA NOT NULL,
  PRIMARY KEY (workflow_id, seq),
  FOREIGN KEY(workflow_id) REFERENCES workflows (id)
);

CREATE TABLE intents (
  workflow_id UUID NOT NULL,
  step_key TEXT NOT NULL,
  generation INTEGER NOT NULL,
  ordinal INTEGER NOT NULL,
  operation TEXT NOT NULL,
  request JSON NOT NULL,
  key TEXT NOT NULL,
  first_sent_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
  resolution TEXT,
  response JSONB,
  PRIMARY KEY (workflow_id, step_key, generation, ordinal),
  FOREIGN KEY(workflow_id, step_key) REFERENCES steps (workflow_id, key),
  CONSTRAINT intents_resolution CHECK (resolution IN ('accepted', 'refused', 'never'))
);
