-- Drops a line whose step does not want it any more. A line whose batch was not sent costs nothing;
-- otherwise the platform works on it, its answer is dropped when it comes, and its cost is booked.
--
-- verdicts:
--   removed: it is not sent, and costs nothing.
--   runs_on: the platform works on it, or may.
--   ended: the platform has answered it; the caller books what it has cost.
--   already: it was dropped before.
--   nothing: there is no such line.
CREATE OR REPLACE FUNCTION drop_line_v1(p_line uuid) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  l record;
BEGIN
  SELECT state, batch_id, is_dropped INTO l FROM batch_lines WHERE id = p_line FOR UPDATE;
  IF NOT FOUND THEN RETURN 'nothing'; END IF;
  IF l.state IN ('answered', 'failed') THEN RETURN 'ended'; END IF;
  IF l.state = 'dropped' OR l.is_dropped THEN RETURN 'already'; END IF;
  IF l.state = 'sent' THEN
    -- From the state uploading on, the line may be at the platform.
    PERFORM FROM batches WHERE id = l.batch_id AND state = 'gathered' FOR UPDATE;
    IF NOT FOUND THEN
      UPDATE batch_lines SET is_dropped = true WHERE id = p_line;
      RETURN 'runs_on';
    END IF;
    UPDATE batches SET lines = lines - 1 WHERE id = l.batch_id;
  END IF;
  UPDATE batch_lines SET state = 'dropped', is_dropped = true, batch_id = NULL,
         ended_at = playalter_now(), settled_at = clock_timestamp()
   WHERE id = p_line;
  RETURN 'removed';
END $$;
