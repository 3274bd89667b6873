-- Trigger on ledger_lines: refuses a line of an entry that another transaction has made. Else an entry
-- could be changed by more lines. A row's xmin is the transaction that has written it.
CREATE OR REPLACE FUNCTION ledger_entry_is_whole_v1() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM ledger_entries
                  WHERE id = NEW.entry_id AND xmin = pg_current_xact_id()::xid) THEN
    RAISE EXCEPTION 'the ledger is append-only: a line for an entry that was booked before refused';
  END IF;
  RETURN NEW;
END $$;
