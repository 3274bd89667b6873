-- Removes the entries of those of the steps p_keys that were lined up and have been claimed. The
-- reconciler looks at their workflow from now on (see admissions).
CREATE OR REPLACE FUNCTION leave_lane_v1(p_workflow uuid, p_keys text[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  -- The workflow is read before, not joined: all columns of the key are known then. In a join, the
  -- index is searched by the queue alone, through all entries of a long lane.
  DELETE FROM lane_entries AS e USING steps AS s
   WHERE s.workflow_id = p_workflow AND s.key = ANY (p_keys) AND s.status <> 'pending'
     AND e.queue = queue_of_v1(s.action)
     AND e.user_id = (SELECT user_id FROM workflows WHERE id = p_workflow)
     AND e.order_at = (SELECT order_in_lane(started_at, priority) FROM workflows WHERE id = p_workflow)
     AND e.workflow_id = p_workflow AND e.key = s.key;
  IF FOUND THEN INSERT INTO admissions (workflow_ids) VALUES (ARRAY[p_workflow]); END IF;
END $$;
