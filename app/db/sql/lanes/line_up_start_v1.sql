-- Lines up the released steps of a new workflow if their queues are backed up. The reconciler need
-- not look at the workflow then, until its time-out.
-- verdicts: lined_up | started (the caller publishes all of the steps)
CREATE OR REPLACE FUNCTION line_up_start_v1(p_workflow uuid) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  released text[];
BEGIN
  IF NOT EXISTS (SELECT FROM queues WHERE is_backed_up) THEN RETURN 'started'; END IF;
  released := ARRAY(SELECT key FROM steps
                     WHERE workflow_id = p_workflow AND publish_after IS NOT NULL);
  IF cardinality(line_up_v1(p_workflow, released)) < cardinality(released) THEN
    RETURN 'started';
  END IF;
  UPDATE workflows SET next_wake_at = least(playalter_now() + interval '1 hour', expires_at)
   WHERE id = p_workflow;
  RETURN 'lined_up';
END $$;
