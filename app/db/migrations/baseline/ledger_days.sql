-- The days whose statement is read, by platform. cursor: where to go on reading; completed_at: null
-- until the whole day is compared; balance_compared_at: null until the balance at its end is compared,
-- or that at the end of a later day.
CREATE TABLE ledger_days (
  platform text NOT NULL,
  day date NOT NULL,
  movements integer DEFAULT 0 NOT NULL,
  began_at timestamptz DEFAULT playalter_now() NOT NULL,
  completed_at timestamptz,
  balance_compared_at timestamptz,
  cursor text,
  PRIMARY KEY (platform, day)
);
