-- Constraint trigger on ledger_lines, at the end of the transaction: the lines of an entry add up to 0
-- in each currency.
CREATE OR REPLACE FUNCTION ledger_is_balanced_v1() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM ledger_lines WHERE entry_id = NEW.entry_id
              GROUP BY currency HAVING sum(amount) <> 0) THEN
    RAISE EXCEPTION 'the lines of an entry of the ledger do not add up to 0'
      USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END $$;
