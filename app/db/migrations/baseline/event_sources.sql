-- Senders of webhooks that become incoming events, at /hooks/in/<path>. path is the name with a
-- random part, so that it tells nothing of other users' names and cannot be guessed.
--
-- scheme: how a webhook is signed, if verification is `hmac` (see chains/incoming/verification.py).
-- former_secret is accepted until former_until. A signature can only be checked with the secret
-- itself, so secrets are stored as they are; no query returns them but those that make and check.
-- id_... and type_...: where a webhook has the id and the type of the event.
CREATE TABLE event_sources (
  id uuid DEFAULT uuidv7() PRIMARY KEY,
  organisation_id uuid NOT NULL,
  project_id uuid NOT NULL,
  user_id uuid NOT NULL REFERENCES users (id),
  name text NOT NULL,
  path text NOT NULL UNIQUE,
  verification text NOT NULL,
  scheme jsonb,
  secret text,
  former_secret text,
  former_until timestamptz,
  id_header text,
  id_expression text,
  type_header text,
  type_expression text,
  type_prefix text DEFAULT '' NOT NULL,
  created_at timestamptz DEFAULT clock_timestamp() NOT NULL,
  changed_at timestamptz DEFAULT clock_timestamp() NOT NULL,
  CONSTRAINT event_sources_by_name UNIQUE (user_id, name),
  CONSTRAINT event_sources_verification CHECK (verification IN (
    'standard_webhooks', 'hmac', 'none')),
  CONSTRAINT event_sources_secret CHECK ((secret IS NULL) = (verification = 'none')),
  FOREIGN KEY (organisation_id, project_id) REFERENCES projects (organisation_id, id)
);
