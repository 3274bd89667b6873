-- Records how lines of a batch have ended at the platform, each once: a line that has ended, or is in
-- another batch by now, is left as it is. So whoever reads the same answers again changes nothing.
-- Returns the lines for whose end their steps wait; for each a delivery is stored, which wakes its step.
--
--   p_done: [{id, state, answer, error, cost, model, is_counted, after}]. state: answered, failed, or
--     again: the platform has not come to the line, so that it waits for another batch, for `after`
--     seconds at least. A line whose step does not want it is not made again, nor one of which this is
--     the time p_tries, if it is counted; each fails with `error`.
CREATE OR REPLACE FUNCTION end_lines_v1(p_batch uuid, p_done jsonb, p_tries integer)
RETURNS SETOF uuid LANGUAGE sql AS $$
  WITH given AS (
    SELECT * FROM jsonb_to_recordset(p_done) AS d (
      id uuid, state text, answer jsonb, error jsonb, cost bigint, model text,
      is_counted boolean, after double precision)),
  judged AS (
    SELECT g.*, CASE WHEN g.state <> 'again' THEN g.state
                     WHEN l.is_dropped OR g.is_counted AND l.tries + 1 >= p_tries THEN 'failed'
                     ELSE 'waiting' END AS becomes
      FROM given AS g JOIN batch_lines AS l ON l.id = g.id
     WHERE l.batch_id = p_batch AND l.state = 'sent' ORDER BY l.id FOR UPDATE OF l),
  ended AS (
    UPDATE batch_lines AS l SET
           state = j.becomes,
           batch_id = CASE WHEN j.becomes <> 'waiting' THEN p_batch END,
           number = CASE WHEN j.becomes <> 'waiting' THEN l.number END,
           tries = l.tries + (j.state = 'again' AND j.is_counted)::integer,
           not_before = CASE WHEN j.becomes = 'waiting' THEN playalter_now() + seconds(j.after)
                             ELSE l.not_before END,
           answer = CASE WHEN NOT l.is_dropped THEN j.answer END,
           error = CASE WHEN j.becomes = 'failed' THEN j.error END,
           cost = coalesce(j.cost, 0), paid_model = j.model,
           ended_at = CASE WHEN j.becomes <> 'waiting' THEN playalter_now() END
      FROM judged AS j WHERE j.id = l.id
    RETURNING l.id, l.platform, l.state, l.is_dropped),
  told AS (
    INSERT INTO webhook_deliveries (platform, delivery_id, external_id, kind, payload)
    SELECT platform, format('line:%s', id), id::text, 'batch.line', '{}' FROM ended
     WHERE state <> 'waiting' AND NOT is_dropped
    ON CONFLICT DO NOTHING)
  SELECT id FROM ended WHERE state <> 'waiting' AND NOT is_dropped
$$;
