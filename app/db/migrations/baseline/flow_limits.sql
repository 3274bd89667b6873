-- The limits and throttles of flow control that are in use: one row for each value of a key. The row
-- is what a process locks before it counts the places that are held (see admit_starts_v1).
--
-- owner: the project or the organisation of a limit of that scope; the nil UUID for others.
-- tat, opens_at: of a throttle only. tat is the theoretical arrival time of GCRA, and opens_at is
-- when the first lane that it blocks may be admitted; null if it blocks none. spacing is how many
-- seconds ahead that may be: if it is further ahead, the clock was set back.
-- v: the virtual time of the limit, by which the lanes that it blocks compete. They may be of several
-- pools, whose tags cannot be compared.
CREATE TABLE flow_limits (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  owner uuid NOT NULL,
  tat timestamptz,
  opens_at timestamptz,
  spacing double precision,
  v double precision DEFAULT 0 NOT NULL,
  scope text NOT NULL
    CHECK (scope IN ('definition', 'project', 'account', 'platform', 'throttle')),
  name text NOT NULL,
  key text NOT NULL,
  UNIQUE (name, key, scope, owner)
)
WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX flow_limits_opening ON flow_limits (opens_at) WHERE opens_at IS NOT NULL;
