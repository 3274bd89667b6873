-- The facts that movements of a time have settled otherwise than they are booked: in one of several
-- movements twice, say. booked and settled: the sums on the account p_settling, which should be the same.
CREATE OR REPLACE FUNCTION unevenly_settled_v1(
  p_platform text, p_since timestamptz, p_until timestamptz, p_settling text)
RETURNS TABLE (about text, currency text, booked bigint, settled bigint) LANGUAGE sql STABLE AS $$
  WITH touched AS (
    SELECT DISTINCT of_key AS fact_key FROM ledger_entries
     WHERE platform = p_platform AND kind IN ('settlement', 'exchange')
       AND occurred_at >= p_since AND occurred_at < p_until)
  SELECT t.fact_key, l.currency::text,
         coalesce(sum(l.amount) FILTER (WHERE e.kind NOT IN ('settlement', 'exchange')), 0)::bigint,
         coalesce(-sum(l.amount) FILTER (WHERE e.kind IN ('settlement', 'exchange')), 0)::bigint
    FROM touched AS t
    JOIN ledger_entries AS e ON e.fact_key = t.fact_key
                             OR (e.of_key = t.fact_key
                                 AND e.kind IN ('settlement', 'exchange', 'capture'))
    JOIN ledger_lines AS l ON l.entry_id = e.id AND l.account = p_settling
   GROUP BY 1, 2 HAVING sum(l.amount) <> 0 ORDER BY 1, 2
$$;
