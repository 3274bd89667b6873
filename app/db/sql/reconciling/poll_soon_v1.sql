-- Makes the polls of a workflow's waiting steps due within p_seconds, because their webhooks may be
-- lost. p_actions: the actions whose platforms send webhooks. p_before: only steps that have
-- started before that time wait for such a webhook. The random factor spreads the polls. A wait
-- that is polled soon anyway, or that has no poll, stays as it is. Locks the workflow row FOR NO
-- KEY UPDATE.
CREATE OR REPLACE FUNCTION poll_soon_v1(
  p_workflow uuid, p_actions text[], p_before timestamptz, p_seconds double precision)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM FROM workflows WHERE id = p_workflow FOR NO KEY UPDATE;
  UPDATE steps SET wake_at = playalter_now() + random() * seconds(p_seconds)
   WHERE workflow_id = p_workflow AND status = 'waiting' AND action = ANY (p_actions)
     AND started_at < p_before AND wake_at > playalter_now() + seconds(p_seconds);
  IF FOUND THEN PERFORM wake_by_v1(p_workflow, playalter_now()); END IF;
END $$;
