-- The disputes that have taken money of which it is not known that it is lost or has come back: a page of
-- them, the first booked first. about is what the keys of a dispute's facts begin with, without the
-- kind. p_after is the id of the last one of the page before, null for the first page.
CREATE OR REPLACE FUNCTION at_risk_v1(p_platform text, p_after uuid, p_most integer)
RETURNS TABLE (id uuid, about text) LANGUAGE sql STABLE AS $$
  SELECT e.id, left(e.fact_key, -length('dispute'))
    FROM ledger_entries AS e
   WHERE e.platform = p_platform AND e.kind = 'dispute' AND (p_after IS NULL OR e.id > p_after)
     AND NOT EXISTS (
       SELECT FROM ledger_entries AS ended
        WHERE ended.fact_key IN (left(e.fact_key, -length('dispute')) || 'dispute_lost',
                                 left(e.fact_key, -length('dispute')) || 'dispute_reinstated'))
   ORDER BY e.id LIMIT p_most
$$;
