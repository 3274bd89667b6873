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
  users uuid[] := '{}';
  orders timestamptz[] := '{}';
BEGIN
  FOR one IN
    SELECT * FROM unnest(p_ids, p_timeouts, p_steps, p_asks) AS u (id, timeout, steps, asks)
     ORDER BY u.id
  LOOP
    id := one.id;
    verdict := begin_workflow_v1(one.id, one.timeout, one.steps::jsonb, p_republish, one.asks,
                                 p_is_alone => false);
    IF verdict = 'lined_up' THEN
      lined_up := lined_up || one.id;
      SELECT users || w.user_id, orders || order_in_lane(w.started_at, w.priority) INTO users, orders
        FROM workflows AS w WHERE w.id = one.id;
    END IF;
    RETURN NEXT;
  END LOOP;
  FOR one IN
    -- From what is at hand: a plan that joins tables may read all of them while they are new.
    SELECT queue_of_v1(s.action) AS queue, l.user_id, l.id, l.order_at,
           array_agg(s.key ORDER BY s.key) AS keys
      FROM unnest(lined_up, users, orders) AS l (id, user_id, order_at)
      JOIN unnest(p_ids, p_steps) AS u (id, steps) ON u.id = l.id
     CROSS JOIN LATERAL jsonb_to_recordset(u.steps::jsonb) AS s (key text, action text, released boolean)
     WHERE s.released
     GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3
  LOOP
    PERFORM enter_lane_v1(one.queue, one.user_id, one.order_at, one.id, one.keys, true);
  END LOOP;
END $$;
