-- Books what a platform has taken for a capture p_of_key beyond what is booked for it: a charge may be
-- captured in several parts, and each report of it says how much was taken so far (p_whole). p_key names
-- the entry after that amount. Reports may come in any order: one that says less than is booked does
-- nothing. The verdict is that of book_fact_v1.
CREATE OR REPLACE FUNCTION book_rest_v1(
  p_of_key text, p_key text, p_platform text, p_settling text, p_whole bigint, p_currency text,
  p_at timestamptz, p_external_ids jsonb)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  rest bigint;
BEGIN
  -- Two runs at once must not book the same part under two amounts.
  PERFORM FROM ledger_entries WHERE fact_key = p_of_key FOR NO KEY UPDATE;
  SELECT p_whole - coalesce(sum(l.amount), 0) INTO rest
    FROM ledger_entries AS e JOIN ledger_lines AS l ON l.entry_id = e.id
   WHERE (e.fact_key = p_of_key OR (e.of_key = p_of_key AND e.kind = 'capture'))
     AND l.account = p_settling AND l.currency = p_currency;
  IF rest <= 0 THEN RETURN 'known'; END IF;
  RETURN book_fact_v1(
    p_key, p_of_key, 'capture', p_platform, 'reconciliation', NULL, NULL, '{}', p_at,
    p_external_ids, ARRAY[p_settling, 'revenue'], ARRAY[p_currency, p_currency], ARRAY[rest, -rest]);
END $$;
