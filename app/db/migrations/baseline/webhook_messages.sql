-- What is sent to the webhook endpoints of a user: the outbox. A message is written in the
-- transaction of the event of which it tells, if an endpoint wants it (see tell_endpoints_v1). data
-- holds ids and codes, no payloads. A message that tells of an endpoint, and not of a workflow, has
-- no workflow_id.
CREATE TABLE webhook_messages (
  id uuid DEFAULT uuidv7() PRIMARY KEY,
  organisation_id uuid NOT NULL,
  user_id uuid NOT NULL,
  type text NOT NULL,
  workflow_id uuid,
  seq integer,
  data jsonb NOT NULL,
  created_at timestamptz DEFAULT playalter_now() NOT NULL
);
