-- Calls that change something at a platform, with their exact request, committed before the request
-- is sent. request and response are payloads, which SQL does not read. From the response the action
-- reads effect_id (the platform's id of what was made) and effect_address (an address under which a
-- webhook may report an uploaded file). answer_id: the artifact that holds the response, if it is
-- too large for a row; then response is null. No foreign keys: see is_not_needed_v1.
--
-- first_sent_at: since when the call may have taken effect. A sending after `refused` or `never`
-- sets it anew. key_sent_at: since when the platform may know the idempotency key. It never
-- changes, because the key of a call never changes.
CREATE TABLE intents (
  workflow_id uuid NOT NULL,
  step_key text NOT NULL,
  generation integer NOT NULL,
  ordinal integer NOT NULL,
  operation text NOT NULL,
  request json NOT NULL,
  key text NOT NULL,
  first_sent_at timestamptz DEFAULT clock_timestamp() NOT NULL,
  key_sent_at timestamptz DEFAULT clock_timestamp() NOT NULL,
  resolution text,
  response jsonb,
  effect_id text,
  effect_address text,
  answer_id uuid,
  PRIMARY KEY (workflow_id, step_key, generation, ordinal),
  CONSTRAINT intents_resolution CHECK (resolution IN ('accepted', 'refused', 'never'))
);

-- Finds the step for which a file was uploaded, when a webhook reports the URL of the file. A hash
-- index, because the platform decides how long a URL is, and an entry of a B-tree has a maximum.
CREATE INDEX intents_by_address ON intents USING hash (effect_address)
  WHERE effect_address IS NOT NULL;
