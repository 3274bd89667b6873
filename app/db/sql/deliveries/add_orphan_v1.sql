-- Adds the rows that take an orphan effect back, with the event that it was found, once for each
-- effect. An orphan effect works at a vendor for a step and is not the step's own: a doubled call,
-- or what a step that was passed over has left. It has a row of its own, and that row a
-- compensation, which runs under the step protocol whatever its workflow does, also after its end.
--
-- p_orphan: {external_id, key, undo_key}, made by the caller. The caller holds the workflow row FOR NO KEY
-- UPDATE; the reconciler publishes the compensation.
CREATE OR REPLACE FUNCTION add_orphan_v1(p_workflow uuid, p_step text, p_orphan jsonb) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO steps (workflow_id, key, kind, of_key, position, action, status, external_id, finished_at)
  SELECT p_workflow, p_orphan ->> 'key', 'orphan', p_step, position, action, 'skipped',
         p_orphan ->> 'external_id', clock_timestamp()
    FROM steps WHERE workflow_id = p_workflow AND key = p_step
  ON CONFLICT DO NOTHING;
  IF NOT FOUND THEN RETURN; END IF;
  INSERT INTO steps (workflow_id, key, kind, of_key, position, action, status, publish_after)
  SELECT p_workflow, p_orphan ->> 'undo_key', 'orphan_undo', key, position, action, 'pending',
         clock_timestamp()
    FROM steps WHERE workflow_id = p_workflow AND key = p_orphan ->> 'key';
  PERFORM append_event_v1(p_workflow, 'OrphanFound', p_step,
                          jsonb_build_object('external_id', p_orphan ->> 'external_id'));
  PERFORM wake_by_v1(p_workflow, playalter_now());
END $$;
