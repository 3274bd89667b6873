-- Removes the entries of those of the steps p_keys that were lined up and have been claimed. The
-- reconciler looks at their workflow from now on (see admissions).
CREATE OR REPLACE FUNCTION leave_lane_v1(p_workflow uuid, p_keys text[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM lane_entries AS e USING workflows AS w, steps AS s
   WHERE w.id = p_workflow AND s.workflow_id = p_workflow AND s.key = ANY (p_keys)
     AND s.status <> 'pending'
     AND e.queue = queue_of_v1(s.action) AND e.user_id = w.user_id
     AND e.order_at = order_in_lane(w.started_at, w.priority)
     AND e.workflow_id = p_workflow AND e.key = s.key;
  IF FOUND THEN INSERT INTO admissions (workflow_ids) VALUES (ARRAY[p_workflow]); END IF;
END $$;
