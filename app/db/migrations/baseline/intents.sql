-- Effects about to be made, with their exact request: committed before the request leaves. request and
-- response are payloads, and no SQL looks inside them: effect_id, the vendor's id of what was made, and
-- effect_address, under which a webhook may name an uploaded file, are what the action has read in the
-- response. No foreign key to the step: see is_not_needed_v1.
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
  effect_id text,
  effect_address text,
  PRIMARY KEY (workflow_id, step_key, generation, ordinal),
  CONSTRAINT intents_resolution CHECK (resolution IN ('accepted', 'refused', 'never'))
);

-- By its address a webhook finds the step for which a file was uploaded. A hash, because the vendor
-- decides how long an address is.
CREATE INDEX intents_by_address ON intents USING hash (effect_address)
  WHERE effect_address IS NOT NULL;
