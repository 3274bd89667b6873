-- The facts that a platform's balance should show and that no statement has settled, with what is booked
-- for each on the account p_settling: those that happened before p_until, and that happened or were
-- recorded from p_since on. So a fact that is recorded late is looked for too. A capture that belongs
-- to another is a part of it, and is settled with it.
CREATE OR REPLACE FUNCTION missing_there_v1(
  p_platform text, p_kinds text[], p_since timestamptz, p_until timestamptz, p_settling text)
RETURNS TABLE (about text, amount bigint, currency text) LANGUAGE sql STABLE AS $$
  SELECT e.fact_key, l.amount, l.currency::text
    FROM ledger_entries AS e JOIN ledger_lines AS l ON l.entry_id = e.id AND l.account = p_settling
   WHERE e.platform = p_platform AND e.kind = ANY (p_kinds)
     AND (e.kind <> 'capture' OR e.of_key IS NULL)
     AND e.occurred_at < p_until AND (e.occurred_at >= p_since OR e.recorded_at >= p_since)
     AND NOT EXISTS (SELECT FROM ledger_entries AS s
                      WHERE s.of_key = e.fact_key AND s.kind IN ('settlement', 'exchange'))
   ORDER BY e.id
$$;
