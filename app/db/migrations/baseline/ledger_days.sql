-- The days whose statement is read, by platform. cursor: where to go on reading; completed_at: null
-- until the whole day is compared.
CREATE TABLE ledger_days (
  platform text NOT NULL,
  day date NOT NULL,
  movements integer DEFAULT 0 NOT NULL,
  began_at timestamptz DEFAULT playalter_now() NOT NULL,
  completed_at timestamptz,
  cursor text,
  PRIMARY KEY (platform, day)
);
