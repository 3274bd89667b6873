-- Compares the balance that a platform states for the end of a day (p_theirs, minor units) with the sum
-- of what is booked before (p_end) on the account p_account, in one currency. Whether a difference is
-- new.
--
-- One is recorded if the gap between the two is another than at the last comparison, so that a gap which
-- stays is told once, and one that comes back is told again. Without a gap the open ones are closed. A
-- day before that of the last comparison changes nothing. The row of the last gap is locked, so two runs
-- at once record a gap once.
CREATE OR REPLACE FUNCTION note_balance_v1(
  p_platform text, p_day date, p_end timestamptz, p_account text, p_currency text, p_theirs bigint)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  booked bigint;
  last_gap bigint;
  earlier integer;
BEGIN
  SELECT coalesce(sum(l.amount), 0) INTO booked
    FROM ledger_entries AS e JOIN ledger_lines AS l ON l.entry_id = e.id
   WHERE l.account = p_account AND l.currency = p_currency AND e.occurred_at < p_end;
  INSERT INTO ledger_gaps AS g (platform, currency, gap, day)
  VALUES (p_platform, p_currency, p_theirs - booked, p_day)
  ON CONFLICT (platform, currency) DO UPDATE SET gap = excluded.gap, day = excluded.day
   WHERE g.day <= excluded.day
  RETURNING coalesce(old.gap, 0) INTO last_gap;
  IF NOT FOUND THEN RETURN false; END IF;
  IF booked = p_theirs THEN
    UPDATE ledger_differences SET explained_at = playalter_now(), explained_by = 'reconciliation',
           note = 'the balances agree now'
     WHERE platform = p_platform AND kind = 'balance' AND theirs_currency = p_currency
       AND explained_at IS NULL;
    RETURN false;
  END IF;
  IF last_gap = p_theirs - booked THEN RETURN false; END IF;
  SELECT count(*) INTO earlier FROM ledger_differences
   WHERE platform = p_platform AND kind = 'balance' AND theirs_currency = p_currency AND day = p_day;
  RETURN note_difference_v1(
    p_day, 'balance', p_platform || ':' || p_day || ':balance ' || p_currency
      || CASE WHEN earlier > 0 THEN ' ' || earlier + 1 ELSE '' END,
    p_platform, booked, p_currency, p_theirs, p_currency, NULL);
END $$;
