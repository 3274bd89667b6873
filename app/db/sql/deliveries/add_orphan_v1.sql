-- Adds the rows that undo an orphan, once for each effect, and logs that it was found. An orphan is
-- an effect at a platform that its step does not own: a call that was made twice, or work that a
-- skipped step has left there. One row stands for the effect, a second for its compensation. The
-- compensation runs under the step protocol in every status of the workflow, also after its end.
--
-- p_orphan: {external_id, key, undo_key}, made by the caller. p_reserved: what the step had reserved
-- of its budget for the effect, in micro-USD. The orphan keeps that until its compensation has ended
-- and booked what the effect has cost. The caller holds the workflow row FOR NO KEY UPDATE. The
-- reconciler publishes the compensation.
CREATE OR REPLACE FUNCTION add_orphan_v1(
  p_workflow uuid, p_step text, p_orphan jsonb, p_reserved bigint)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO steps (workflow_id, key, kind, of_key, position, action, status, external_id, finished_at)
  SELECT p_workflow, p_orphan ->> 'key', 'orphan', p_step, position, action, 'skipped',
         p_orphan ->> 'external_id', clock_timestamp()
    FROM steps WHERE workflow_id = p_workflow AND key = p_step
  ON CONFLICT DO NOTHING;
  IF FOUND THEN
    INSERT INTO steps (workflow_id, key, kind, of_key, position, action, status, publish_after)
    SELECT p_workflow, p_orphan ->> 'undo_key', 'orphan_undo', key, position, action, 'pending',
           clock_timestamp()
      FROM steps WHERE workflow_id = p_workflow AND key = p_orphan ->> 'key';
    PERFORM append_event_v1(p_workflow, 'OrphanFound', p_step,
                            jsonb_build_object('external_id', p_orphan ->> 'external_id'));
    PERFORM wake_by_v1(p_workflow, playalter_now());
  END IF;
  UPDATE steps SET reserved = coalesce(reserved, 0) + p_reserved
   WHERE workflow_id = p_workflow AND key = p_orphan ->> 'key' AND status = 'skipped'
     AND p_reserved > 0;
END $$;
