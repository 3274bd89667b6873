-- Compares the balance that a platform states for the end of a day (p_theirs, minor units) with the sum
-- of what is booked before (p_end) on the account p_account, in one currency. Whether a difference is
-- new.
--
-- One is recorded if the gap between the two is another than that of the last one, so that a gap which
-- stays is told once. Without a gap the open ones are closed.
CREATE OR REPLACE FUNCTION note_balance_v1(
  p_platform text, p_day date, p_end timestamptz, p_account text, p_currency text, p_theirs bigint)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  booked bigint;
  last_gap bigint;
BEGIN
  SELECT coalesce(sum(l.amount), 0) INTO booked
    FROM ledger_entries AS e JOIN ledger_lines AS l ON l.entry_id = e.id
   WHERE l.account = p_account AND l.currency = p_currency AND e.occurred_at < p_end;
  IF booked = p_theirs THEN
    UPDATE ledger_differences SET explained_at = playalter_now(), explained_by = 'reconciliation',
           note = 'the balances agree now'
     WHERE platform = p_platform AND kind = 'balance' AND theirs_currency = p_currency
       AND explained_at IS NULL;
    RETURN false;
  END IF;
  SELECT CASE WHEN explained_by = 'reconciliation' THEN 0 ELSE theirs - ours END INTO last_gap
    FROM ledger_differences
   WHERE platform = p_platform AND kind = 'balance' AND theirs_currency = p_currency
   ORDER BY day DESC, id DESC LIMIT 1;
  IF last_gap = p_theirs - booked THEN RETURN false; END IF;
  RETURN note_difference_v1(
    p_day, 'balance', p_platform || ':' || p_day || ':balance ' || p_currency, p_platform, booked,
    p_currency, p_theirs, p_currency, NULL);
END $$;
