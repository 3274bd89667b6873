-- How much of a rate limit is used, by the type of workflow and the value of the limit's key. `tat` is
-- when all of it will be back (see take_rate_v1); a row whose time has passed says nothing.
CREATE TABLE start_rates (
  type text NOT NULL,
  key text NOT NULL,
  tat timestamptz NOT NULL,
  PRIMARY KEY (type, key)
);
