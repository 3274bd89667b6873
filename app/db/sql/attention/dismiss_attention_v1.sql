-- Ends a workflow's need for attention when a person says so. This is for needs that no step
-- causes: a time-out or an exhausted budget past the pivot (the step after which nothing is
-- undone), a call that has cost more than its ceiling, a delivery that cannot be decided, or an
-- effect that has failed later at the platform. An ended workflow can need attention only for one of
-- the last three. An approval that asks an unknown
-- address may be dismissed too, because others may decide. What effect_failed has hidden is then shown,
-- unless the end of the workflow has settled it. p_by is the person, p_reason the
-- person's reason. p_seen is the number of the newest event of an effect that has failed later, as
-- the person has read it in the list: one that came afterwards is not dismissed unread. Null if the
-- list had none. Locks the workflow row FOR NO KEY UPDATE.
--
-- verdicts:
--   dismissed
--   unchanged: the workflow needs no attention.
--   needs_step: a step is the cause, so the person must act on that step.
--   not_seen: an effect has failed of which the person did not know.
--   ended: the workflow has ended.
CREATE OR REPLACE FUNCTION dismiss_attention_v1(
  p_workflow uuid, p_by text, p_reason text, p_seen integer)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  w record;
  need record;
BEGIN
  SELECT attention, hidden_need AS next, completed_at IS NOT NULL AS has_ended INTO w
    FROM workflows WHERE id = p_workflow FOR NO KEY UPDATE;
  IF w.has_ended AND coalesce(w.attention NOT IN (
       'delivery_undecided', 'cost_above_ceiling', 'effect_failed'), true) THEN
    RETURN 'ended';
  END IF;
  IF w.attention IS NULL THEN RETURN 'unchanged'; END IF;
  IF NOT w.has_ended AND w.attention <> 'effect_failed' AND EXISTS (
       SELECT FROM needs_person_v1(p_workflow, NULL) WHERE reason <> 'approver_unknown') THEN
    RETURN 'needs_step';
  END IF;
  IF w.attention = 'effect_failed' AND EXISTS (
       SELECT FROM events AS e CROSS JOIN LATERAL (SELECT e.body::jsonb) AS parsed (event)
        WHERE e.workflow_id = p_workflow AND e.seq > coalesce(p_seen, 0)
          AND event ->> 'type' = 'EffectFailed') THEN
    RETURN 'not_seen';
  END IF;
  IF w.has_ended AND w.next NOT IN ('delivery_undecided', 'cost_above_ceiling') THEN
    w.next := NULL;
  END IF;
  UPDATE workflows SET attention = w.next, attention_since = playalter_now(), hidden_need = NULL
   WHERE id = p_workflow;
  PERFORM append_event_v1(p_workflow, 'AttentionResolved', NULL, jsonb_build_object(
    'reason', w.attention, 'by', p_by, 'why', p_reason, 'attention', w.next));
  IF w.attention = 'effect_failed' THEN
    SELECT step_key, reason INTO need FROM needs_person_v1(p_workflow, NULL) LIMIT 1;
    IF FOUND THEN PERFORM call_person_v1(p_workflow, need.step_key, need.reason); END IF;
  END IF;
  RETURN 'dismissed';
END $$;
