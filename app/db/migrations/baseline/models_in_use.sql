-- The models of vendors that steps have paid for, and those that definitions and schedules name, with
-- the last day of each. People are told of those that end (see app/tariffs/in_use.py). `pace`: the
-- seconds that the model took for a thousand tokens, as it was measured lately (app/tariffs/paces.py).
CREATE TABLE models_in_use (
  platform text NOT NULL,
  model text NOT NULL,
  used_on date,
  named_on date,
  pace double precision,
  PRIMARY KEY (platform, model),
  CONSTRAINT models_in_use_somehow CHECK (used_on IS NOT NULL OR named_on IS NOT NULL)
);
