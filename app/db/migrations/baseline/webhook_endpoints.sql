-- The addresses to which users have what happens to their workflows sent, signed as Standard Webhooks
-- 1.0.0 says. event_types: only these are sent; null for all. with_children: whether also the starts
-- and ends of child workflows are sent.
--
-- secret and former_secret sign what is sent, former_secret until former_until. The receiver needs
-- the same secrets, so they are stored as they are; no query returns them but those that make and
-- claim them.
--
-- failures: failed attempts since the last that succeeded, failing_since the time of the first of
-- them. Nothing is sent before rest_until; rests: how often it has rested since the last success. pace: how long an answer takes, in milliseconds, a moving
-- average; null until the first. served_at: when something was last claimed.
CREATE TABLE webhook_endpoints (
  id uuid DEFAULT uuidv7() PRIMARY KEY,
  organisation_id uuid NOT NULL,
  user_id uuid NOT NULL REFERENCES users (id),
  url text NOT NULL,
  description text NOT NULL,
  event_types text[],
  with_children boolean DEFAULT false NOT NULL,
  secret text NOT NULL,
  former_secret text,
  former_until timestamptz,
  disabled_at timestamptz,
  disabled_reason text,
  failures integer DEFAULT 0 NOT NULL,
  failing_since timestamptz,
  rest_until timestamptz,
  rests integer DEFAULT 0 NOT NULL,
  pace integer,
  served_at timestamptz,
  created_at timestamptz DEFAULT playalter_now() NOT NULL,
  CONSTRAINT webhook_endpoints_reason CHECK (disabled_reason IN ('asked', 'failing', 'gone')),
  CONSTRAINT webhook_endpoints_disabled CHECK (
    (disabled_at IS NULL) = (disabled_reason IS NULL))
)
-- The row changes with each attempt, in columns that no index has.
WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.01);

CREATE INDEX webhook_endpoints_by_user ON webhook_endpoints (user_id, id);
