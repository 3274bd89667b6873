-- Each outcome is one transaction with its event, accepted from the holder of the fence only.
-- The workflow row is locked first; verdict 'fenced' means that somebody else holds the step now.

CREATE FUNCTION log_calls_v1(p_workflow uuid, p_key text, p_calls jsonb) RETURNS void
LANGUAGE sql AS $$
  INSERT INTO platform_logs (workflow_id, step_key, platform, action, status, response_time)
  SELECT p_workflow, p_key, c.platform, c.action, c.status, c.response_time
    FROM jsonb_to_recordset(p_calls) AS c (platform text, action text, status text,
                                           response_time integer)
$$;

-- Writers only lower next_wake_at; the reconciler alone raises it.
CREATE FUNCTION wake_by_v1(p_workflow uuid, p_at timestamptz) RETURNS void LANGUAGE sql AS $$
  UPDATE workflows SET next_wake_at = p_at
   WHERE id = p_workflow AND next_wake_at > p_at AND completed_at IS NULL
$$;

-- verdicts: fenced | released (`released`: won for publishing; `joined`: the last part, its join)
--           | completed | draining (the workflow is stopping) | undone
-- p_expand, from the head of a map: {join, count, window, heads, steps}.
CREATE FUNCTION finish_step_v1(
  p_workflow uuid, p_key text, p_fence uuid, p_input jsonb, p_output jsonb, p_cost bigint,
  p_calls jsonb, p_expand jsonb, p_workflow_output jsonb, p_republish double precision)
RETURNS TABLE (verdict text, released text[], joined text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  w record;
  s record;
  j record;
  ready text[] := '{}';
  join_ready text;
BEGIN
  SELECT status, paused_at INTO w FROM workflows WHERE id = p_workflow FOR NO KEY UPDATE;
  UPDATE steps SET status = 'succeeded', output = p_output, input = coalesce(p_input, input),
         cost = cost + p_cost, error = NULL, crashes = 0, lease_until = NULL, deadline_at = NULL,
         finished_at = clock_timestamp()
   WHERE workflow_id = p_workflow AND key = p_key AND fence = p_fence AND status = 'running'
  RETURNING next_keys, join_key, undo, cost INTO s;
  IF NOT FOUND THEN
    RETURN QUERY SELECT 'fenced', NULL::text[], NULL;
    RETURN;
  END IF;
  IF p_calls IS NOT NULL THEN PERFORM log_calls_v1(p_workflow, p_key, p_calls); END IF;
  IF s.undo THEN
    UPDATE steps SET status = 'compensated'
     WHERE workflow_id = p_workflow AND key = left(p_key, -length('~undo')) AND status <> 'failed';
    PERFORM append_event_v1(p_workflow, 'StepCompensated', left(p_key, -length('~undo')),
                            jsonb_build_object('output', payload_hash(p_output)));
    PERFORM wake_by_v1(p_workflow, playalter_now());
    RETURN QUERY SELECT 'undone', NULL::text[], NULL;
    RETURN;
  END IF;
  PERFORM append_event_v1(p_workflow, 'StepSucceeded', p_key, jsonb_build_object(
    'output', payload_hash(p_output), 'cost', nullif(s.cost, 0)));
  IF w.status <> 'running' THEN
    PERFORM wake_by_v1(p_workflow, playalter_now());
    RETURN QUERY SELECT 'draining', NULL::text[], NULL;
    RETURN;
  END IF;
  IF p_expand IS NOT NULL THEN
    PERFORM add_steps_v1(p_workflow, p_expand -> 'steps', p_republish);
    UPDATE steps SET remaining = (p_expand ->> 'count')::integer,
           item_count = (p_expand ->> 'count')::integer,
           next_item = least((p_expand ->> 'count')::integer, (p_expand ->> 'window')::integer)
     WHERE workflow_id = p_workflow AND key = p_expand ->> 'join';
    ready := ARRAY(SELECT jsonb_array_elements_text(p_expand -> 'heads'));
  ELSIF s.join_key IS NOT NULL THEN
    UPDATE steps SET remaining = remaining - 1, next_item = CASE WHEN next_item < item_count
           THEN next_item + 1 ELSE next_item END
     WHERE workflow_id = p_workflow AND key = s.join_key
    RETURNING remaining, old.next_item AS item, new.next_item AS upto, item_heads INTO j;
    IF j.remaining = 0 THEN
      ready := ARRAY[s.join_key];
      join_ready := s.join_key;
    ELSIF j.upto > j.item THEN
      ready := ARRAY(SELECT format('%s[%s].%s', s.join_key, j.item, head)
                       FROM unnest(j.item_heads) AS head);
    END IF;
  ELSIF s.next_keys IS NOT NULL THEN
    ready := s.next_keys;
  ELSE
    UPDATE workflows SET status = 'succeeded', output = p_workflow_output, next_wake_at = NULL,
           attention = NULL,
           completed_at = clock_timestamp() WHERE id = p_workflow;
    PERFORM append_event_v1(p_workflow, 'WorkflowSucceeded', NULL,
                            jsonb_build_object('output', payload_hash(p_workflow_output)));
    RETURN QUERY SELECT 'completed', NULL::text[], NULL;
    RETURN;
  END IF;
  UPDATE steps SET publish_after = clock_timestamp() + seconds(p_republish)
   WHERE workflow_id = p_workflow AND key = ANY (ready) AND status = 'pending';
  PERFORM wake_by_v1(p_workflow, playalter_now() + seconds(p_republish));
  IF w.paused_at IS NOT NULL THEN ready := '{}'; join_ready := NULL; END IF;
  RETURN QUERY SELECT 'released', ready, join_ready;
END $$;

-- Hand to hand: record step n and claim n+1 in one statement, for a step whose success does nothing
-- but release its one successor. It checks all that finish and claim check; where anything is out of
-- the ordinary it leaves the step to finish_step_v1 (`released` then names who follows).
CREATE FUNCTION advance_step_v1(
  p_workflow uuid, p_key text, p_fence uuid, p_input jsonb, p_output jsonb, p_cost bigint,
  p_calls jsonb, p_republish double precision, p_next text, p_lease double precision,
  p_attempt double precision)
RETURNS TABLE (verdict text, released text[], joined text, fence uuid, prior text, tries integer,
               generation integer, external_id text, input jsonb, item jsonb, expired boolean,
               user_id uuid, type text, version integer)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  w record;
  s record;
  c record;
  real timestamptz := clock_timestamp();
BEGIN
  SELECT status, paused_at, user_id, type, version INTO w
    FROM workflows WHERE id = p_workflow FOR NO KEY UPDATE;
  IF w.status = 'running' AND w.paused_at IS NULL THEN
    UPDATE steps SET status = 'succeeded', output = p_output, input = coalesce(p_input, input),
           cost = cost + p_cost, error = NULL, crashes = 0, lease_until = NULL, deadline_at = NULL,
           finished_at = real
     WHERE workflow_id = p_workflow AND key = p_key AND fence = p_fence AND status = 'running'
       AND NOT undo AND join_key IS NULL AND next_keys = ARRAY[p_next]
    RETURNING cost INTO s;
    IF FOUND THEN
      IF p_calls IS NOT NULL THEN PERFORM log_calls_v1(p_workflow, p_key, p_calls); END IF;
      PERFORM append_event_v1(p_workflow, 'StepSucceeded', p_key, jsonb_build_object(
        'output', payload_hash(p_output), 'cost', nullif(s.cost, 0)));
      UPDATE steps SET
          status = 'running', fence = gen_random_uuid(), claims = claims + 1,
          publish_after = real + make_interval(secs => p_republish),
          lease_until = real + make_interval(secs => least(p_lease, p_attempt)),
          deadline_at = real + make_interval(secs => p_attempt),
          started_at = coalesce(started_at, real)
       WHERE workflow_id = p_workflow AND key = p_next AND status = 'pending'
         AND publish_after IS NULL AND wake_at IS NULL AND NOT undo
      RETURNING steps.fence, steps.tries, steps.generation, steps.external_id, steps.input,
                steps.item INTO c;
      IF FOUND THEN
        RETURN QUERY SELECT 'advanced', NULL::text[], NULL, c.fence, 'pending', c.tries,
                            c.generation, c.external_id, c.input, c.item, false, w.user_id, w.type,
                            w.version;
      ELSE
        -- Released and claimed by somebody else already: nothing of ours to move.
        RETURN QUERY SELECT 'released', '{}'::text[], NULL, NULL::uuid, NULL, 0, 0, NULL,
                            NULL::jsonb, NULL::jsonb, false, NULL::uuid, NULL, 0;
      END IF;
      RETURN;
    END IF;
  END IF;
  RETURN QUERY SELECT f.verdict, f.released, f.joined, NULL::uuid, NULL, 0, 0, NULL, NULL::jsonb,
                      NULL::jsonb, false, NULL::uuid, NULL, 0
    FROM finish_step_v1(p_workflow, p_key, p_fence, p_input, p_output, p_cost, p_calls, NULL, NULL,
                        p_republish) AS f;
END $$;

-- Nothing happened at the vendor: pending again, due in p_seconds. p_new_generation after a failure
-- that the vendor keeps under the old key.
CREATE FUNCTION retry_step_v1(
  p_workflow uuid, p_key text, p_fence uuid, p_input jsonb, p_cost bigint, p_calls jsonb,
  p_error jsonb, p_seconds double precision, p_new_generation boolean)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  w text;
BEGIN
  SELECT status INTO w FROM workflows WHERE id = p_workflow FOR NO KEY UPDATE;
  UPDATE steps SET status = 'pending', tries = tries + 1, error = p_error,
         input = coalesce(p_input, input), cost = cost + p_cost, crashes = 0,
         generation = generation + p_new_generation::integer,
         wake_at = playalter_now() + seconds(p_seconds), publish_after = clock_timestamp(),
         lease_until = NULL, deadline_at = NULL
   WHERE workflow_id = p_workflow AND key = p_key AND fence = p_fence AND status = 'running';
  IF NOT FOUND THEN RETURN 'fenced'; END IF;
  IF p_calls IS NOT NULL THEN PERFORM log_calls_v1(p_workflow, p_key, p_calls); END IF;
  PERFORM append_event_v1(p_workflow, 'StepRetryScheduled', p_key, jsonb_build_object(
    'code', p_error ->> 'code', 'seconds', round(p_seconds::numeric, 3)));
  PERFORM wake_by_v1(p_workflow, playalter_now() + seconds(p_seconds));
  RETURN CASE w WHEN 'compensating' THEN 'draining' ELSE 'recorded' END;
END $$;

-- The vendor works on it; no slot is held. A further wait for the same id is no news and no event, and
-- each poll that found nothing is followed by one half as far away again: a webhook comes first, and
-- thousands of waits must cost little. The jitter keeps those that began together from asking together.
CREATE FUNCTION suspend_step_v1(
  p_workflow uuid, p_key text, p_fence uuid, p_input jsonb, p_cost bigint, p_calls jsonb,
  p_external_id text, p_seconds double precision, p_timeout double precision)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  w text;
  s record;
BEGIN
  SELECT status INTO w FROM workflows WHERE id = p_workflow FOR NO KEY UPDATE;
  UPDATE steps SET status = 'waiting', external_id = p_external_id, error = NULL, tries = 0,
         input = coalesce(p_input, input), cost = cost + p_cost, crashes = 0,
         wake_at = playalter_now() + (0.75 + random() / 2) * CASE WHEN external_id = p_external_id
           THEN greatest(seconds(p_seconds),
                         least(interval '10 minutes', (clock_timestamp() - started_at) / 2))
           ELSE seconds(p_seconds) END,
         expires_at = coalesce(expires_at, playalter_now() + seconds(p_timeout)),
         lease_until = NULL, deadline_at = NULL
   WHERE workflow_id = p_workflow AND key = p_key AND fence = p_fence AND status = 'running'
  RETURNING old.external_id AS before, new.wake_at INTO s;
  IF NOT FOUND THEN RETURN 'fenced'; END IF;
  IF p_calls IS NOT NULL THEN PERFORM log_calls_v1(p_workflow, p_key, p_calls); END IF;
  IF s.before IS DISTINCT FROM p_external_id THEN
    PERFORM append_event_v1(p_workflow, 'StepSuspended', p_key,
                            jsonb_build_object('external_id', p_external_id));
  END IF;
  PERFORM wake_by_v1(p_workflow, s.wake_at);
  RETURN CASE w WHEN 'compensating' THEN 'draining' ELSE 'recorded' END;
END $$;

-- The call may have happened; in p_seconds somebody looks it up. Asking again is no news. p_was_sent:
-- this attempt sent it, and counts as a try; a lookup that could not tell does not.
CREATE FUNCTION doubt_step_v1(
  p_workflow uuid, p_key text, p_fence uuid, p_input jsonb, p_cost bigint, p_calls jsonb,
  p_error jsonb, p_seconds double precision, p_attention text, p_was_sent boolean)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  w text;
  s record;
BEGIN
  SELECT status INTO w FROM workflows WHERE id = p_workflow FOR NO KEY UPDATE;
  UPDATE steps SET status = 'unknown', error = p_error, input = coalesce(p_input, input),
         cost = cost + p_cost, crashes = 0, tries = tries + p_was_sent::integer,
         wake_at = playalter_now() + seconds(p_seconds),
         publish_after = clock_timestamp(), lease_until = NULL, deadline_at = NULL
   WHERE workflow_id = p_workflow AND key = p_key AND fence = p_fence AND status = 'running'
  RETURNING old.error ->> 'code' AS before INTO s;
  IF NOT FOUND THEN RETURN 'fenced'; END IF;
  IF p_calls IS NOT NULL THEN PERFORM log_calls_v1(p_workflow, p_key, p_calls); END IF;
  IF s.before IS DISTINCT FROM p_error ->> 'code' THEN
    PERFORM append_event_v1(p_workflow, 'StepOutcomeUnknown', p_key,
                            jsonb_build_object('code', p_error ->> 'code'));
  END IF;
  IF p_attention IS NOT NULL THEN PERFORM call_person_v1(p_workflow, p_key, p_attention); END IF;
  PERFORM wake_by_v1(p_workflow, playalter_now() + seconds(p_seconds));
  RETURN CASE w WHEN 'compensating' THEN 'draining' ELSE 'recorded' END;
END $$;

-- The caller holds the workflow row.
CREATE FUNCTION call_person_v1(p_workflow uuid, p_key text, p_reason text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  UPDATE workflows SET attention = p_reason WHERE id = p_workflow AND attention IS NULL;
  IF FOUND THEN
    PERFORM append_event_v1(p_workflow, 'AttentionNeeded', p_key,
                            jsonb_build_object('reason', p_reason));
  END IF;
END $$;

-- The step fails for good; undoing starts. A compensation that fails for good needs a person.
CREATE FUNCTION fail_step_v1(
  p_workflow uuid, p_key text, p_fence uuid, p_input jsonb, p_cost bigint, p_calls jsonb,
  p_error jsonb)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  w text;
  s record;
BEGIN
  SELECT status INTO w FROM workflows WHERE id = p_workflow FOR NO KEY UPDATE;
  UPDATE steps SET status = 'failed', error = p_error, input = coalesce(p_input, input),
         cost = cost + p_cost, tries = tries + 1, crashes = 0, lease_until = NULL,
         deadline_at = NULL, finished_at = clock_timestamp()
   WHERE workflow_id = p_workflow AND key = p_key AND fence = p_fence AND status = 'running'
  RETURNING undo INTO s;
  IF NOT FOUND THEN RETURN 'fenced'; END IF;
  IF p_calls IS NOT NULL THEN PERFORM log_calls_v1(p_workflow, p_key, p_calls); END IF;
  PERFORM append_event_v1(p_workflow, 'StepFailed', p_key,
                          jsonb_build_object('code', p_error ->> 'code'));
  IF s.undo THEN
    PERFORM call_person_v1(p_workflow, p_key, 'compensation_failed');
    PERFORM wake_by_v1(p_workflow, playalter_now());
    RETURN 'draining';
  END IF;
  PERFORM stop_workflow_v1(p_workflow, 'failed', p_error || jsonb_build_object('step', p_key));
  RETURN 'draining';
END $$;

-- A stop is committed first; after it the caller runs the barrier (FOR UPDATE on the row), which
-- waits out the claims in flight, and only then are steps read.
CREATE FUNCTION stop_workflow_v1(p_workflow uuid, p_cause text, p_error jsonb)
RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 FROM workflows WHERE id = p_workflow FOR NO KEY UPDATE;
  UPDATE workflows SET status = 'compensating', cause = p_cause, error = p_error,
         next_wake_at = least(next_wake_at, playalter_now())
   WHERE id = p_workflow AND status IN ('pending', 'running');
  IF NOT FOUND THEN RETURN false; END IF;
  PERFORM append_event_v1(p_workflow, 'WorkflowStopping', NULL,
                          jsonb_build_object('cause', p_cause, 'code', p_error ->> 'code'));
  RETURN true;
END $$;

-- While the workflow is stopping, a step whose call was looked up, or may be left to its
-- compensation, is not run again: it is cancelled, and its intents say what has to be undone.
CREATE FUNCTION cancel_step_v1(
  p_workflow uuid, p_key text, p_fence uuid, p_input jsonb, p_cost bigint, p_calls jsonb)
RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 FROM workflows WHERE id = p_workflow FOR NO KEY UPDATE;
  UPDATE steps SET status = 'cancelled', input = coalesce(p_input, input), cost = cost + p_cost,
         lease_until = NULL, deadline_at = NULL, finished_at = clock_timestamp()
   WHERE workflow_id = p_workflow AND key = p_key AND fence = p_fence AND status = 'running';
  IF NOT FOUND THEN RETURN 'fenced'; END IF;
  IF p_calls IS NOT NULL THEN PERFORM log_calls_v1(p_workflow, p_key, p_calls); END IF;
  PERFORM append_event_v1(p_workflow, 'StepCancelled', p_key, NULL);
  PERFORM wake_by_v1(p_workflow, playalter_now());
  RETURN 'draining';
END $$;
