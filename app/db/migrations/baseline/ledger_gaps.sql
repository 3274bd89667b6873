-- By how much a platform's balance differed from the ledger's when the two were compared last, by currency:
-- theirs less ours, in minor units, also 0. day: the day at whose end that was.
CREATE TABLE ledger_gaps (
  platform text NOT NULL,
  currency char(3) NOT NULL,
  gap bigint NOT NULL,
  day date NOT NULL,
  PRIMARY KEY (platform, currency)
);
