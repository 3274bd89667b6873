-- What each worker has last said of itself. A worker that has stopped takes no queue, and its row stays
-- for a day; an empty table means that no worker has ever told.
CREATE TABLE worker_presence (
  name text PRIMARY KEY,
  queues text[] NOT NULL,
  seen_at timestamptz DEFAULT clock_timestamp() NOT NULL
);
