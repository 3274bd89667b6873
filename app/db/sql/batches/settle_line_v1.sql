-- Books what a line that has ended has cost, unless its step or the compensation has booked it, and lets
-- go of its answer. Called for lines that their steps do not want any more. The cost is booked on the
-- compensation, if there is one, because the step has given its reservation back by then. The workflow
-- row is locked first, FOR NO KEY UPDATE.
--
-- verdicts:
--   settled
--   wanted: its step may still take the answer; nothing was done.
--   gone: the workflow is archived or erased; nothing was done.
CREATE OR REPLACE FUNCTION settle_line_v1(p_line uuid) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  l record;
  row_key text;
  total bigint;
BEGIN
  SELECT workflow_id, step_key, generation, cost, paid_model INTO l FROM batch_lines
   WHERE id = p_line;
  PERFORM FROM workflows WHERE id = l.workflow_id FOR NO KEY UPDATE;
  IF NOT FOUND AND l.cost > 0 THEN RETURN 'gone'; END IF;
  IF is_wanted_v1(l.workflow_id, l.step_key, l.generation) THEN RETURN 'wanted'; END IF;
  IF l.cost > 0 THEN
    INSERT INTO booked_effects (workflow_id, effect, step_key, generation, cost, model)
    VALUES (l.workflow_id, p_line::text, l.step_key, l.generation, l.cost, l.paid_model)
    ON CONFLICT DO NOTHING;
    IF FOUND THEN
      SELECT u.key INTO row_key
        FROM steps AS u JOIN steps AS o ON (o.workflow_id, o.key) = (u.workflow_id, u.of_key)
       WHERE u.workflow_id = l.workflow_id
         AND (u.kind = 'undo' AND o.key = l.step_key
              OR u.kind = 'orphan_undo' AND o.of_key = l.step_key AND o.external_id = p_line::text)
       ORDER BY u.kind = 'undo' LIMIT 1;
      row_key := coalesce(row_key, l.step_key);
      UPDATE steps SET cost = coalesce(cost, 0) + l.cost
       WHERE workflow_id = l.workflow_id AND key = row_key RETURNING cost INTO total;
      PERFORM append_event_v1(l.workflow_id, 'CostBooked', row_key,
                              jsonb_build_object('cost', total));
    END IF;
  END IF;
  UPDATE batch_lines SET settled_at = clock_timestamp(), answer = NULL
   WHERE id = p_line AND settled_at IS NULL;
  RETURN 'settled';
END $$;
