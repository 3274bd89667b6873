-- HTTP calls to platforms. response_time is in milliseconds.
CREATE TABLE platform_logs (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  workflow_id uuid,
  step_key text,
  platform text NOT NULL,
  action text NOT NULL,
  status text NOT NULL,
  response_time integer NOT NULL,
  created_at timestamptz DEFAULT clock_timestamp() NOT NULL
);

CREATE INDEX ix_platform_logs_workflow_id ON platform_logs (workflow_id);
