-- The queues of the broker in which more was published than the workers keep up with, or was once. A
-- queue without a row has never been backed up.
--
-- While a queue is backed up, its steps are lined up instead of published (see line_up_v1), and
-- admit_v1 publishes a few whenever few are left. The other columns belong to admit_v1:
--   turn: how far the lanes of the queue have been served, in steps of one lane (virtual time)
--   rate: how many messages the workers take per second, a moving average
--   level: how many messages the queue is filled up to
--   filled_at, filled_to: when admit_v1 last published, and how long the queue was after that
CREATE TABLE queues (
  name text PRIMARY KEY,
  is_backed_up boolean DEFAULT false NOT NULL,
  turn double precision DEFAULT 0 NOT NULL,
  rate double precision DEFAULT 0 NOT NULL,
  level integer DEFAULT 0 NOT NULL,
  filled_at timestamptz DEFAULT clock_timestamp() NOT NULL,
  filled_to integer DEFAULT 0 NOT NULL
);
