-- Where the ledger and the statement of a platform differ. about: the key of the fact. ours, theirs:
-- the amounts in minor units, null where one side has nothing. unreadable: a movement of the statement
-- that is not booked; about names it by its id. balance: the platform's balance at the end of the day,
-- in one currency; about names both. A row is open until a person explains it, or a later
-- reconciliation finds the two sides equal.
CREATE TABLE ledger_differences (
  id uuid DEFAULT uuidv7() PRIMARY KEY,
  found_at timestamptz DEFAULT playalter_now() NOT NULL,
  explained_at timestamptz,
  ours bigint,
  theirs bigint,
  day date NOT NULL,
  kind text NOT NULL,
  about text NOT NULL,
  platform text NOT NULL,
  ours_currency char(3),
  theirs_currency char(3),
  external_id text,
  explained_by text,
  note text,
  CONSTRAINT ledger_differences_once UNIQUE (about, kind),
  CONSTRAINT ledger_differences_kind CHECK (
    kind IN ('missing_here', 'missing_there', 'other_amount', 'unreadable', 'balance'))
);

CREATE INDEX ledger_differences_open ON ledger_differences (id) WHERE explained_at IS NULL;
