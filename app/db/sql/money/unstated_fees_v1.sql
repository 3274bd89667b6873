-- The fees that a webhook has told and no statement has, with what is booked for each on the account
-- p_balance: those that happened before p_until, and that happened or were recorded from p_since on. A
-- fee is a part of a movement, so it is stated if that movement is.
CREATE OR REPLACE FUNCTION unstated_fees_v1(
  p_platform text, p_since timestamptz, p_until timestamptz, p_balance text)
RETURNS TABLE (about text, amount bigint, currency text) LANGUAGE sql STABLE AS $$
  SELECT e.fact_key, l.amount, l.currency::text
    FROM ledger_entries AS e JOIN ledger_lines AS l ON l.entry_id = e.id AND l.account = p_balance
   WHERE e.platform = p_platform AND e.kind IN ('fee', 'dispute_fee') AND e.source = 'webhook'
     AND e.occurred_at < p_until AND (e.occurred_at >= p_since OR e.recorded_at >= p_since)
     AND NOT EXISTS (
       SELECT FROM ledger_entries AS s
        WHERE s.of_key = e.of_key AND s.kind IN ('settlement', 'exchange')
          AND s.external_ids ->> 'balance_transaction' = e.external_ids ->> 'balance_transaction')
   ORDER BY e.id
$$;
