-- The workflows that wait in a lane for their start. Rows are only inserted and deleted. order_at is
-- the place in the lane (see order_in_flow).
CREATE TABLE flow_entries (
  lane_id bigint NOT NULL,
  order_at timestamptz NOT NULL,
  workflow_id uuid NOT NULL,
  cost double precision NOT NULL,
  PRIMARY KEY (lane_id, order_at, workflow_id)
)
WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0);
