-- Objects at a platform that more than one workflow could use, and who uses each. Without an
-- organisation_id, the object was made outside of Playalter (a PaymentIntent made in a shop's
-- browser, say), or its making was lost: the first workflow that claims it has it, and workflows
-- that are not related to that one may not change it. With one (machines that it rents, say), the
-- organisation has it for ever, and any workflow of the organisation may change it. No foreign key:
-- an archived workflow keeps the objects that it has changed.
CREATE TABLE platform_objects (
  platform text NOT NULL,
  object_id text NOT NULL,
  workflow_id uuid NOT NULL,
  step_key text NOT NULL,
  claimed_at timestamptz DEFAULT clock_timestamp() NOT NULL,
  organisation_id uuid,
  PRIMARY KEY (platform, object_id)
);

-- Ids of workflows rise with time, so ranges of blocks tell them apart, and a row costs no entry.
CREATE INDEX platform_objects_of_workflow ON platform_objects
  USING brin (workflow_id uuid_minmax_multi_ops);
