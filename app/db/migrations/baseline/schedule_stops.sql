-- Workflows that must stop because another start takes their place: that of a later time of their
-- schedule, or of their singleton (without schedule_id, overlap `singleton`). A pass stops them after
-- the commit that adds these rows, and removes them. That commit locks no workflow.
CREATE TABLE schedule_stops (
  workflow_id uuid PRIMARY KEY,
  schedule_id uuid,
  overlap text NOT NULL,
  try_at timestamptz DEFAULT clock_timestamp() NOT NULL
);

CREATE INDEX schedule_stops_in_order ON schedule_stops (try_at);
