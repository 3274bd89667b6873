-- Adds the released steps of a new workflow to their lanes. p_steps is as in add_steps_v1.
CREATE OR REPLACE FUNCTION line_up_start_v1(
  p_workflow uuid, p_user uuid, p_order_at timestamptz, p_steps jsonb)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  lined record;
BEGIN
  FOR lined IN
    SELECT queue_of_v1(action) AS queue, array_agg(key ORDER BY key) AS keys
      FROM jsonb_to_recordset(p_steps) AS s (key text, action text, released boolean)
     WHERE released GROUP BY 1 ORDER BY 1
  LOOP
    PERFORM enter_lane_v1(lined.queue, p_user, p_order_at, p_workflow, lined.keys, true);
  END LOOP;
END $$;
