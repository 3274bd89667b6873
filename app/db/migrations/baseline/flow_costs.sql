-- What ended workflows have cost more (or less) than was counted when they were admitted, for the
-- lanes whose definition says how the cost is measured. admit_starts_v1 takes the rows out, and
-- corrects the tags of the lanes.
CREATE TABLE flow_costs (
  pool_id bigint NOT NULL,
  id bigint GENERATED ALWAYS AS IDENTITY,
  lane_id bigint NOT NULL,
  cost double precision NOT NULL,
  PRIMARY KEY (pool_id, id)
)
WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0);
