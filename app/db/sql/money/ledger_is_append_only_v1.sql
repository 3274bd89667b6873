-- Trigger on the tables of the ledger: refuses UPDATE, DELETE and TRUNCATE. A wrong entry is corrected
-- by another entry.
CREATE OR REPLACE FUNCTION ledger_is_append_only_v1() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'the ledger is append-only: % refused', TG_OP;
END $$;
