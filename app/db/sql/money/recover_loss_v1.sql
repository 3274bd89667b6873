-- Takes back the loss of a dispute that was lost and whose money has come back after all, as by an
-- appeal: one entry against that of the loss. p_dispute is what the keys of its facts begin with. Does
-- nothing unless both facts are booked; so they may be told in any order.
CREATE OR REPLACE FUNCTION recover_loss_v1(p_dispute text, p_platform text, p_source text)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  loss record;
BEGIN
  -- Of two transactions that book one of the two facts each, the later one sees both.
  PERFORM pg_advisory_xact_lock(hashtextextended(p_dispute, 0));
  SELECT e.fact_key, e.external_ids, back.occurred_at, array_agg(l.account) AS accounts,
         array_agg(l.currency::text) AS currencies, array_agg(-l.amount) AS amounts INTO loss
    FROM ledger_entries AS e JOIN ledger_lines AS l ON l.entry_id = e.id
    JOIN ledger_entries AS back ON back.fact_key = p_dispute || 'dispute_reinstated'
   WHERE e.fact_key = p_dispute || 'dispute_lost'
   GROUP BY e.fact_key, e.external_ids, back.occurred_at;
  IF FOUND THEN
    PERFORM book_fact_v1(
      p_dispute || 'dispute_recovered', loss.fact_key, 'dispute_recovered', p_platform, p_source, NULL,
      NULL, '{}', loss.occurred_at, loss.external_ids, loss.accounts, loss.currencies, loss.amounts);
  END IF;
END $$;
