-- What is left, after the end of a workflow, of its need for attention. p_attention: its reason
-- before the end. A compensation of an orphan that has failed, a call that has cost more than its
-- action's ceiling, and an effect that has failed later at the platform still need a person; the
-- end settles all other needs.
CREATE OR REPLACE FUNCTION lasting_attention_v1(p_workflow uuid, p_attention text) RETURNS text
LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN p_attention IS NULL THEN NULL
              WHEN p_attention IN ('cost_above_ceiling', 'effect_failed')
                   OR has_failed_orphan_v1(p_workflow)
              THEN p_attention END
$$;
