-- Admits a fork of a workflow that waits for its forks before it is undone, if that fork waits for a
-- place that the workflow holds: neither would ever go on. One fork at a time is admitted so, and
-- takes its places even if the limits are full, as take_turns_again_v1 does. The reconciler begins
-- it in its next pass. The caller holds the row of the workflow; this never waits for a fork that
-- another transaction holds.
CREATE OR REPLACE FUNCTION admit_fork_v1(p_source uuid) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  fork record;
BEGIN
  WITH RECURSIVE forks AS (
    SELECT id, status FROM workflows WHERE forked_from = p_source
    UNION
    SELECT w.id, w.status FROM forks JOIN workflows AS w ON w.forked_from = forks.id)
  SELECT w.id, w.flow, w.organisation_id, w.project_id INTO fork
    FROM forks JOIN workflows AS w ON w.id = forks.id
   WHERE w.status = 'pending' AND w.paused_at IS NULL AND w.flow IS NOT NULL
     AND EXISTS (SELECT FROM flow_limits_v1(w.flow, w.organisation_id, w.project_id) AS l
                   JOIN flow_turns AS t ON t.limit_id = l.id AND t.workflow_id = p_source
                  WHERE l.seconds IS NULL)
     AND NOT EXISTS (SELECT FROM forks AS other JOIN flow_turns AS t ON t.workflow_id = other.id)
   ORDER BY w.id LIMIT 1 FOR NO KEY UPDATE OF w SKIP LOCKED;
  IF NOT FOUND THEN RETURN; END IF;
  PERFORM leave_flow_v1(fork.id);
  INSERT INTO flow_turns (workflow_id, limit_id, is_extra)
  SELECT fork.id, l.id, true
    FROM flow_limits_v1(fork.flow, fork.organisation_id, fork.project_id) AS l
   WHERE l.seconds IS NULL
  ON CONFLICT DO NOTHING;
  UPDATE workflows SET next_wake_at = playalter_now() WHERE id = fork.id;
END $$;
