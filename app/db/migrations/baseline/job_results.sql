-- The outcomes of the tasks that Celery beat starts, which belong to no workflow and have no steps:
-- Celery's state of the task, and its result or its error. Rows are removed after a week.
CREATE TABLE job_results (
  task_id text PRIMARY KEY,
  name text NOT NULL,
  state text NOT NULL,
  result jsonb,
  error text,
  ended_at timestamptz DEFAULT clock_timestamp() NOT NULL
);
