-- Starts workflows that flow control has admitted (see begin_workflow_v1), in the order of their ids. A
-- workflow that waits, because it has lost its places meanwhile, is in no lane afterwards: the caller
-- begins it alone.
--
-- Lanes are locked last, and in one order, so no two calls wait for each other.
CREATE OR REPLACE FUNCTION begin_workflows_v1(
  p_ids uuid[], p_timeouts double precision[], p_steps text[], p_asks boolean[],
  p_republish double precision)
RETURNS TABLE (id uuid, verdict text) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  one record;
  lined_up uuid[] := '{}';
BEGIN
  FOR one IN
    SELECT * FROM unnest(p_ids, p_timeouts, p_steps, p_asks) AS u (id, timeout, steps, asks)
     ORDER BY u.id
  LOOP
    id := one.id;
    verdict := begin_workflow_v1(one.id, one.timeout, one.steps::jsonb, p_republish, one.asks,
                                 p_is_alone => false);
    IF verdict = 'lined_up' THEN lined_up := lined_up || one.id; END IF;
    RETURN NEXT;
  END LOOP;
  FOR one IN
    SELECT queue_of_v1(s.action) AS queue, w.user_id, w.id,
           order_in_lane(w.started_at, w.priority) AS order_at, array_agg(s.key ORDER BY s.key) AS keys
      FROM workflows AS w JOIN steps AS s ON s.workflow_id = w.id
     WHERE w.id = ANY (lined_up) AND s.status = 'pending' AND s.publish_after = 'infinity'
     GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3
  LOOP
    PERFORM enter_lane_v1(one.queue, one.user_id, one.order_at, one.id, one.keys, true);
  END LOOP;
END $$;
