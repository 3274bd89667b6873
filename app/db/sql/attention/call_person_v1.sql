-- Marks a workflow for attention (a person must look), because of the step p_key; null if no step
-- is the cause. Does nothing if the workflow is already marked, except that each other reason
-- replaces cost_above_ceiling, which holds up nothing and outlasts the workflow's end, and
-- approver_unknown, which a workflow may have from its start, when nothing stands still because of it
-- yet; and that effect_failed replaces all, since no row of a step shows it. While it stands, a reason
-- that no step causes is kept in hidden_need, by the same rules: when effect_failed is dismissed, that
-- reason and the steps that need a person are shown again. The caller holds the workflow row FOR NO KEY UPDATE.
CREATE OR REPLACE FUNCTION call_person_v1(p_workflow uuid, p_key text, p_reason text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  UPDATE workflows SET hidden_need = CASE p_reason WHEN 'effect_failed' THEN attention
                                                   ELSE p_reason END
   WHERE id = p_workflow
     AND CASE WHEN p_reason = 'effect_failed'
                THEN attention <> p_reason AND NOT is_of_a_step_v1(attention)
              ELSE attention = 'effect_failed' AND NOT is_of_a_step_v1(p_reason)
                   AND coalesce(hidden_need, 'cost_above_ceiling') = 'cost_above_ceiling' END;
  UPDATE workflows SET attention = p_reason, attention_since = playalter_now()
   WHERE id = p_workflow
     AND (attention IS NULL
          OR attention IN ('cost_above_ceiling', 'approver_unknown') AND p_reason <> attention
          OR p_reason = 'effect_failed' AND p_reason <> attention);
  IF FOUND THEN
    PERFORM append_event_v1(p_workflow, 'AttentionNeeded', p_key,
                            jsonb_build_object('reason', p_reason));
  END IF;
END $$;
