-- Objects at a platform that were made outside of Playalter (a PaymentIntent made in a shop's
-- browser, say), and the workflow that uses each. The first workflow that claims an object has it;
-- workflows that are not related to that one may not change it. No foreign key: an archived workflow
-- keeps the objects that it has changed.
CREATE TABLE platform_objects (
  platform text NOT NULL,
  object_id text NOT NULL,
  workflow_id uuid NOT NULL,
  step_key text NOT NULL,
  claimed_at timestamptz DEFAULT clock_timestamp() NOT NULL,
  PRIMARY KEY (platform, object_id)
);

-- Ids of workflows rise with time, so ranges of blocks tell them apart, and a row costs no entry.
CREATE INDEX platform_objects_of_workflow ON platform_objects
  USING brin (workflow_id uuid_minmax_multi_ops);
