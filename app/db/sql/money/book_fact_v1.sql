-- Books a fact about customers' money: one entry with its lines. A fact is booked once (p_fact_key),
-- and nothing that is booked ever changes.
--
-- p_workflow, p_step: whose fact it is. Without them the fact belongs to the workflow of the fact
-- p_of_key, else to the one that has claimed one of the objects p_objects at the platform. A workflow
-- that this database does not know, archived or not, is left out. p_accounts, p_currencies and
-- p_amounts are the lines, whose order does not matter. p_occurred_at: null for now. p_stage: what the
-- object has come to, of a fact that is no more than that and has no lines.
--
-- verdicts:
--   booked
--   known: the same entry was booked before; nothing was done. If a step or a webhook tells it, the
--     difference that it was missing here is explained.
--   differs: an entry with this key but other lines was booked before; nothing was done.
CREATE OR REPLACE FUNCTION book_fact_v1(
  p_fact_key text, p_of_key text, p_kind text, p_platform text, p_source text, p_workflow uuid,
  p_step text, p_objects text[], p_occurred_at timestamptz, p_external_ids jsonb, p_accounts text[],
  p_currencies text[], p_amounts bigint[], p_stage text DEFAULT NULL)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  made uuid;
  owner record;
  is_same boolean;
BEGIN
  IF p_workflow IS NULL AND p_of_key IS NOT NULL THEN
    SELECT workflow_id, step_key INTO p_workflow, p_step FROM ledger_entries WHERE fact_key = p_of_key;
  END IF;
  IF p_workflow IS NULL THEN
    SELECT workflow_id, step_key INTO p_workflow, p_step FROM platform_objects
     WHERE platform = p_platform AND object_id = ANY (p_objects) ORDER BY claimed_at LIMIT 1;
  END IF;
  SELECT id, organisation_id, project_id, user_id, type, version INTO owner
    FROM workflows WHERE id = p_workflow;
  IF NOT FOUND THEN
    SELECT workflow_id, organisation_id, project_id, user_id, type, version INTO owner
      FROM archived WHERE workflow_id = p_workflow;
    IF NOT FOUND THEN p_workflow := NULL; p_step := NULL; END IF;
  END IF;
  INSERT INTO ledger_entries (organisation_id, project_id, user_id, workflow_id, version, occurred_at,
                              fact_key, of_key, kind, platform, type, step_key, source, external_ids, stage)
  VALUES (owner.organisation_id, owner.project_id, owner.user_id, p_workflow, owner.version,
          coalesce(p_occurred_at, playalter_now()), p_fact_key, p_of_key, p_kind, p_platform,
          owner.type, p_step, p_source, p_external_ids, p_stage)
  ON CONFLICT (fact_key) DO NOTHING RETURNING id INTO made;
  IF made IS NULL THEN
    SELECT NOT EXISTS (
      (SELECT account, currency::text, amount FROM ledger_lines WHERE entry_id = e.id
       EXCEPT SELECT * FROM unnest(p_accounts, p_currencies, p_amounts))
      UNION ALL
      (SELECT * FROM unnest(p_accounts, p_currencies, p_amounts)
       EXCEPT SELECT account, currency::text, amount FROM ledger_lines WHERE entry_id = e.id))
      INTO is_same FROM ledger_entries AS e WHERE fact_key = p_fact_key;
    IF is_same AND p_source <> 'reconciliation' THEN
      UPDATE ledger_differences
         SET explained_at = playalter_now(), explained_by = p_source, note = 'it was told later'
       WHERE about = p_fact_key AND kind = 'missing_here' AND explained_at IS NULL;
    END IF;
    RETURN CASE WHEN is_same THEN 'known' ELSE 'differs' END;
  END IF;
  INSERT INTO ledger_lines (entry_id, account, currency, amount)
  SELECT made, account, currency, amount
    FROM unnest(p_accounts, p_currencies, p_amounts) AS line (account, currency, amount);
  IF p_kind IN ('dispute_lost', 'dispute_reinstated') THEN
    PERFORM recover_loss_v1(left(p_fact_key, -length(p_kind)), p_platform, p_source);
  END IF;
  RETURN 'booked';
END $$;
