-- What the steps of all workflows use of what the settings allow at a platform: places for work that
-- runs there, and money for each hour, in micro-USD. A platform has a row for the whole
-- (organisation_id is 0), and one for each organisation. Only platforms whose settings limit
-- something have rows.
--
--   hour: the hour by playalter_now() to which reserved and spent belong; what was reserved in an
--     hour counts in that hour, whenever it is settled
--   taken: how many places are taken
--   reserved: what the work that was begun in the hour may still cost
--   spent: what the settled work of the hour has cost
--   most, hourly: the limits that the last step was held by; null: there is none
--   swept_at: when it was last looked which work is over although no cost of it was booked
--
-- Whoever changes a row locks the row of the whole first. Only budgets are locked after it.
CREATE TABLE allowances (
  platform text NOT NULL,
  organisation_id uuid NOT NULL,
  hour timestamptz NOT NULL,
  taken integer DEFAULT 0 NOT NULL,
  reserved bigint DEFAULT 0 NOT NULL,
  spent bigint DEFAULT 0 NOT NULL,
  most integer,
  hourly bigint,
  swept_at timestamptz,
  PRIMARY KEY (platform, organisation_id)
)
WITH (fillfactor = 50);
