-- A workflow with its steps, in one statement and so of one moment: a row for each step, in order,
-- and then one for the workflow. No row is returned if the user may not see the workflow. Payloads
-- are texts.
--
-- p_step: only the step with this key has its payloads. If it is null, all have, in order, until
--   p_most bytes are full; of the others none is read.
-- p_gone: a worker whose last report is older than so many seconds takes no queue.
-- p_ahead: the last place in a lane that is told.
--
-- Of the workflow:
--   is_own: it is the user's. The payloads of others are not returned.
--   is_cut: the payloads of some steps did not fit.
--   queues: those that workers take, if a step could be claimed now. Null if no worker has reported
--     its queues yet: all workers are of an older release, or none was ever started.
--   places: those of the steps that are lined up, by their keys. Null if none is.
CREATE OR REPLACE FUNCTION workflow_detail_v1(
  p_workflow uuid, p_user uuid, p_is_operator boolean, p_step text, p_most bigint,
  p_gone double precision, p_ahead bigint)
RETURNS TABLE (shown json, input text, output text) LANGUAGE plpgsql STABLE
-- Each statement reads by the id of the workflow, so its plan is always the same. Left to itself,
-- PostgreSQL would plan some of them anew in each call, which takes longer than to execute them.
SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
  w record;
  s record;
  room bigint := p_most;
  is_cut boolean := false;
  has_due boolean := false;
  lined_up text[] := '{}';
BEGIN
  SELECT user_id = p_user AS is_own, error, input, output INTO w
    FROM workflows WHERE id = p_workflow AND (user_id = p_user OR p_is_operator);
  IF NOT FOUND THEN RETURN; END IF;
  FOR s IN
    SELECT key, input, output, queue_of_v1(action) AS queue, due.is_due,
           status = 'pending' AND publish_after = 'infinity' AS is_lined_up,
           json_build_object(
             'key', key, 'position', position, 'kind', kind, 'role', role, 'signal', signal,
             'asked', asked, 'action', action, 'status', status, 'tries', tries,
             'started_at', utc_text(started_at), 'finished_at', utc_text(finished_at),
             'seconds', extract(epoch FROM coalesce(finished_at, clock_timestamp()) - started_at),
             'wake_at', utc_text(wake_at), 'external_id', external_id, 'cost', coalesce(cost, 0),
             'error', error, 'is_due', due.is_due, 'event_type',
             CASE WHEN status = 'waiting' AND action = 'control.event' THEN (
               SELECT event_type FROM event_waits AS v WHERE v.external_id = steps.external_id) END) AS shown
      FROM steps CROSS JOIN LATERAL (
           SELECT status IN ('pending', 'unknown') AND publish_after IS NOT NULL
              AND (wake_at IS NULL OR wake_at <= playalter_now()) AS is_due) AS due
     WHERE workflow_id = p_workflow ORDER BY position, key
  LOOP
    shown := s.shown;
    input := NULL;
    output := NULL;
    has_due := has_due OR s.is_due;
    IF s.is_lined_up AND s.queue <> ALL (lined_up) THEN lined_up := lined_up || s.queue; END IF;
    IF w.is_own AND NOT is_cut AND s.key = coalesce(p_step, s.key) THEN
      -- Only here PostgreSQL reads and converts the payloads of this step.
      input := s.input::text;
      output := s.output::text;
      room := room - coalesce(octet_length(input), 0) - coalesce(octet_length(output), 0);
      is_cut := room < 0 AND p_step IS NULL;
      IF is_cut THEN
        input := NULL;
        output := NULL;
      END IF;
    END IF;
    RETURN NEXT;
  END LOOP;
  shown := json_build_object(
    'summary', (SELECT of.shown FROM workflow_summary_v1(p_workflow, p_is_operator) AS of),
    'error', w.error, 'is_own', w.is_own, 'is_cut', is_cut,
    'queues', CASE WHEN has_due THEN (
      SELECT CASE WHEN count(name) > 0 THEN
               coalesce(json_agg(DISTINCT queue) FILTER (WHERE queue IS NOT NULL), '[]') END
        FROM worker_presence LEFT JOIN unnest(queues) AS queue
          ON seen_at > clock_timestamp() - seconds(p_gone)) END,
    'places', CASE WHEN lined_up <> '{}' THEN (
      SELECT json_object_agg(of.key, of.place) FROM places_v1(p_workflow, lined_up, p_ahead) AS of)
      END);
  input := CASE WHEN w.is_own THEN w.input::text END;
  output := CASE WHEN w.is_own THEN w.output::text END;
  RETURN NEXT;
END $$;
