-- What a step has taken of the allowance of a platform, until its work there is over. micro_usd: what
-- it has reserved in the hour. cost_before: what the step had cost before. lasts_until: the time,
-- by playalter_now(), by which the platform has ended the work itself. No foreign keys: see
-- is_not_needed_v1.
CREATE TABLE allowance_holds (
  workflow_id uuid NOT NULL,
  step_key text NOT NULL,
  platform text NOT NULL,
  organisation_id uuid NOT NULL,
  hour timestamptz NOT NULL,
  micro_usd bigint NOT NULL,
  cost_before bigint NOT NULL,
  has_place boolean NOT NULL,
  lasts_until timestamptz NOT NULL,
  PRIMARY KEY (workflow_id, step_key)
);

CREATE INDEX allowance_holds_by_platform ON allowance_holds (platform);
