-- Requests that have started no workflow of their own, but were answered with another one: they
-- joined it, or it was the live one of their singleton. A repeated request gets the same answer. `id`
-- is the one that the request's own workflow would have had.
CREATE TABLE start_handles (
  id uuid PRIMARY KEY,
  user_id uuid NOT NULL,
  workflow_id uuid NOT NULL,
  created_at timestamptz DEFAULT clock_timestamp() NOT NULL,
  idempotency_key text,
  request_hash bytea
);

CREATE UNIQUE INDEX start_handles_idempotency ON start_handles (idempotency_key, user_id)
  WHERE idempotency_key IS NOT NULL;
