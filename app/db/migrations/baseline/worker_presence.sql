-- What each worker last reported about itself. A worker that has stopped has no queues; its row
-- stays for a day. If the table is empty, no worker has ever reported.
CREATE TABLE worker_presence (
  name text PRIMARY KEY,
  queues text[] NOT NULL,
  seen_at timestamptz DEFAULT clock_timestamp() NOT NULL
);
