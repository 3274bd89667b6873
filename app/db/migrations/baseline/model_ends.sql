-- The ends of models that operators have recorded (see app/tariffs). Those that ship are in files; a row
-- here counts before them.
CREATE TABLE model_ends (
  platform text NOT NULL,
  model text NOT NULL,
  ends_on date NOT NULL,
  successor text,
  set_at timestamptz DEFAULT clock_timestamp() NOT NULL,
  PRIMARY KEY (platform, model)
);
