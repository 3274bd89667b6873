-- The steps that are lined up. Rows are only inserted and deleted, because dead rows at the front of
-- the index would slow down admit_v1.
--
-- order_at is the place in the lane (see order_in_lane). It depends on the workflow alone, so that a
-- step of an older workflow goes first.
CREATE TABLE lane_entries (
  queue text NOT NULL,
  user_id uuid NOT NULL,
  order_at timestamptz NOT NULL,
  workflow_id uuid NOT NULL,
  key text NOT NULL,
  PRIMARY KEY (queue, user_id, order_at, workflow_id, key)
)
WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0);
