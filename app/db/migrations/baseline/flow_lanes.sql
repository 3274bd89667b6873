-- The lanes of starts that wait for flow control. All starts of a lane have the same definition, keys
-- and numbers, so a full limit blocks the lane as a whole.
--
--   identity: a hash of all that makes two starts belong to one lane (see flow_lane_v1)
--   limits, mosts, intervals: the limits and throttles of its starts. mosts has the number of
--     places of a limit, and the burst of a throttle. intervals is null for a limit, and for a
--     throttle the seconds between two starts.
--   tag: the virtual time at which its next start is due
--   is_open: it has starts, or may get one at the moment
--   blocked_on: the limit or throttle that keeps it from being admitted. blocked_most: its number.
--     blocked_tag: the tag of the lane in the virtual time of that limit
--   rate: starts admitted per second lately. changed_at: when it was last admitted, opened or closed
CREATE TABLE flow_lanes (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  pool_id bigint NOT NULL,
  tag double precision NOT NULL,
  weight double precision NOT NULL,
  rate double precision DEFAULT 0 NOT NULL,
  blocked_on bigint,
  blocked_tag double precision,
  changed_at timestamptz DEFAULT clock_timestamp() NOT NULL,
  blocked_most integer,
  is_open boolean NOT NULL,
  identity bytea NOT NULL UNIQUE,
  definition text NOT NULL,
  share_key text NOT NULL,
  limits bigint[] NOT NULL,
  mosts integer[] NOT NULL,
  intervals double precision[] NOT NULL
)
WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX flow_lanes_ready ON flow_lanes (pool_id, tag, id)
  WHERE is_open AND blocked_on IS NULL;
CREATE INDEX flow_lanes_blocked ON flow_lanes (blocked_on, blocked_tag, id)
  WHERE blocked_on IS NOT NULL;
CREATE INDEX flow_lanes_idle ON flow_lanes (changed_at) WHERE NOT is_open;
