-- Workflows that a schedule wants to stop, because a later time of it takes their place. A pass stops
-- them after the commit that adds these rows, and removes them. That commit locks no workflow.
CREATE TABLE schedule_stops (
  workflow_id uuid PRIMARY KEY,
  schedule_id uuid NOT NULL,
  overlap text NOT NULL,
  try_at timestamptz DEFAULT clock_timestamp() NOT NULL
);

CREATE INDEX schedule_stops_in_order ON schedule_stops (try_at);
