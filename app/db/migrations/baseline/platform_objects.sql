-- Objects at a platform that were made outside of Playalter (a PaymentIntent made in a shop's
-- browser, say), and the workflow that uses each. The first workflow that claims an object has it;
-- workflows that are not related to that one may not change it.
CREATE TABLE platform_objects (
  platform text NOT NULL,
  object_id text NOT NULL,
  workflow_id uuid NOT NULL REFERENCES workflows (id),
  step_key text NOT NULL,
  claimed_at timestamptz DEFAULT clock_timestamp() NOT NULL,
  PRIMARY KEY (platform, object_id)
);
