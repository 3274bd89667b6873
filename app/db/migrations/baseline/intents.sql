-- Effects about to be made, with their exact request: committed before the request leaves. No foreign
-- key to the step: see is_not_needed_v1.
CREATE TABLE intents (
  workflow_id uuid NOT NULL,
  step_key text NOT NULL,
  generation integer NOT NULL,
  ordinal integer NOT NULL,
  operation text NOT NULL,
  request json NOT NULL,
  key text NOT NULL,
  first_sent_at timestamptz DEFAULT clock_timestamp() NOT NULL,
  resolution text,
  response jsonb,
  PRIMARY KEY (workflow_id, step_key, generation, ordinal),
  CONSTRAINT intents_resolution CHECK (resolution IN ('accepted', 'refused', 'never'))
);

-- The addresses of files that were uploaded, by which a webhook finds its step. A hash, because the
-- vendor decides how long an address is.
CREATE INDEX intents_by_address ON intents USING hash ((response ->> 'url'))
  WHERE operation LIKE 'files.create%';
