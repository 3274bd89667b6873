-- The lines of the ledger's entries. amount: minor units of the currency; positive is a debit, negative
-- a credit. The lines of an entry add up to 0 in each currency (see ledger_is_balanced_v1).
CREATE TABLE ledger_lines (
  entry_id uuid NOT NULL REFERENCES ledger_entries (id),
  amount bigint NOT NULL,
  currency char(3) NOT NULL,
  account text NOT NULL,
  PRIMARY KEY (entry_id, account, currency),
  CONSTRAINT ledger_lines_currency CHECK (currency ~ '^[A-Z]{3}$'),
  CONSTRAINT ledger_lines_amount CHECK (amount <> 0)
);

CREATE TRIGGER ledger_is_append_only BEFORE UPDATE OR DELETE ON ledger_lines
  FOR EACH ROW EXECUTE FUNCTION ledger_is_append_only_v1();
CREATE TRIGGER ledger_is_not_truncated BEFORE TRUNCATE ON ledger_lines
  FOR EACH STATEMENT EXECUTE FUNCTION ledger_is_append_only_v1();
CREATE TRIGGER ledger_entry_is_whole BEFORE INSERT ON ledger_lines
  FOR EACH ROW EXECUTE FUNCTION ledger_entry_is_whole_v1();
CREATE CONSTRAINT TRIGGER ledger_is_balanced AFTER INSERT ON ledger_lines
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ledger_is_balanced_v1();
