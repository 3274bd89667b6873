-- The attempts to deliver messages, each with the first part of its answer. status: the HTTP status;
-- null if there was no answer, and then error says why.
CREATE TABLE webhook_attempts (
  id uuid DEFAULT uuidv7() PRIMARY KEY,
  endpoint_id uuid NOT NULL,
  message_id uuid NOT NULL,
  attempt smallint NOT NULL,
  status integer,
  error text,
  milliseconds integer NOT NULL,
  reply text,
  created_at timestamptz DEFAULT playalter_now() NOT NULL
);

CREATE INDEX webhook_attempts_of_endpoint ON webhook_attempts (endpoint_id, id);
