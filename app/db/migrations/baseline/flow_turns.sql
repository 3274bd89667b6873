-- The places of limits that workflows hold, from their admission to their end, which includes their
-- undoing. A place is a row, so nothing is counted up or down. If a lane has only throttles, its
-- workflows have a row for the first of them, which says that they were admitted. So does a row for
-- the limit 0, of a child whose ancestors hold all places that it needs.
--
-- is_extra: the workflow had ended and was reopened to be undone. It has taken its place again even
-- if the limit was full: an undoing that is owed does not wait. Or it is a fork for which its source
-- waits (see admit_fork_v1).
CREATE TABLE flow_turns (
  workflow_id uuid NOT NULL,
  limit_id bigint NOT NULL,
  is_extra boolean DEFAULT false NOT NULL,
  PRIMARY KEY (workflow_id, limit_id)
)
WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX flow_turns_by_limit ON flow_turns (limit_id);
