-- Limits of which a place has become free. The transaction that ends a workflow only adds rows here
-- and locks no limit; flow_pools_v1 takes them out, and unblocks lanes.
CREATE TABLE flow_released (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  limit_id bigint NOT NULL
)
WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0);
