-- Adds pending steps to a workflow. p_steps is an array of rows that the caller makes from the
-- definition. A row that is `released` may be claimed at once. The caller publishes it, so it is
-- not published again before p_republish seconds have passed. A row that is not released has no
-- publish_after, and is neither claimed nor published. If p_are_lined_up, the caller adds the
-- released rows to their lanes instead of publishing them (see line_up_v1). Called for the first steps of a workflow,
-- the items of a map, the turns of a loop, and for compensations.
CREATE OR REPLACE FUNCTION add_steps_v1(
  p_workflow uuid, p_steps jsonb, p_republish double precision,
  p_are_lined_up boolean DEFAULT false)
RETURNS void LANGUAGE sql AS $$
  INSERT INTO steps (workflow_id, key, kind, of_key, role, position, action, status, next_keys,
                     join_key, item_heads, remaining, item, asked, publish_after, ready_at)
  SELECT p_workflow, s.key, coalesce(s.kind, 'step'), s.of_key, s.role, s.position, s.action, 'pending',
         s.next_keys, s.join_key, s.item_heads, s.remaining, s.item, s.asked,
         CASE WHEN s.released THEN CASE WHEN p_are_lined_up THEN 'infinity'
                                        ELSE clock_timestamp() + seconds(p_republish) END END,
         CASE WHEN s.released THEN playalter_now() END
    FROM jsonb_to_recordset(p_steps) AS s (key text, position integer, action text,
         kind text, of_key text, role text, next_keys text[], join_key text,
         item_heads text[], remaining integer, item jsonb, asked text[], released boolean)
$$;
