-- What each worker last reported about itself. A worker that has stopped has no queues; its row
-- stays for a day. If the table is empty, no worker has ever reported.
--
-- `slots` is how many messages it runs at once. `held` are the messages that it had fetched and that
-- had not ended, and `active` those of them that ran. `ended` and `busy_seconds`, the seconds of a
-- slot in use, have grown since its process was started.
CREATE TABLE worker_presence (
  name text PRIMARY KEY,
  queues text[] NOT NULL,
  slots integer DEFAULT 0 NOT NULL,
  held integer DEFAULT 0 NOT NULL,
  active integer DEFAULT 0 NOT NULL,
  ended bigint DEFAULT 0 NOT NULL,
  busy_seconds double precision DEFAULT 0 NOT NULL,
  seen_at timestamptz DEFAULT clock_timestamp() NOT NULL
);
