-- The days whose statement is read, by platform. cursor: where to go on reading; completed_at: null
-- until the whole day is compared; balance_compared_at: null until the balance at its end is compared,
-- or that at the end of a later day; disputes_asked_at: null until the platform was asked about each
-- dispute at risk, since this day is compared; disputes_after: the entry of the last one asked about.
CREATE TABLE ledger_days (
  platform text NOT NULL,
  day date NOT NULL,
  movements integer DEFAULT 0 NOT NULL,
  began_at timestamptz DEFAULT playalter_now() NOT NULL,
  completed_at timestamptz,
  balance_compared_at timestamptz,
  disputes_asked_at timestamptz,
  disputes_after uuid,
  cursor text,
  PRIMARY KEY (platform, day)
);
