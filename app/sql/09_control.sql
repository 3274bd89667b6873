-- What people do to a workflow. Each function is one transaction that locks the workflow row first,
-- changes rows and writes its event with who (p_by) and why (p_reason); each answers with a verdict in
-- one word, and where that is a refusal nothing was changed.
ALTER TABLE workflows ADD COLUMN forked_from uuid REFERENCES workflows (id);
CREATE INDEX workflows_by_fork_source ON workflows (forked_from) WHERE forked_from IS NOT NULL;
CREATE INDEX workflows_needing_a_person ON workflows (user_id, id) WHERE attention IS NOT NULL;

ALTER TABLE steps ADD COLUMN resolved_output jsonb;
-- No index may speak of a step's status: every transition would lose its HOT update.
CREATE INDEX steps_by_signal ON steps (workflow_id) WHERE external_id LIKE 'signal:%';

-- A stop that a person asks for; who and why stand beside the stop's own event. The caller settles.
-- verdicts: stopped | stopping | ended | past_pivot
CREATE FUNCTION cancel_workflow_v1(
  p_workflow uuid, p_error jsonb, p_pivot text, p_undoes boolean, p_by text, p_reason text)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  found text := stop_workflow_v2(p_workflow, 'cancelled', p_error, p_pivot, p_undoes);
BEGIN
  IF found = 'stopped' THEN
    PERFORM append_event_v1(p_workflow, 'CancelRequested', NULL, jsonb_build_object(
      'by', p_by, 'reason', p_reason, 'undoes', p_undoes));
  END IF;
  RETURN found;
END $$;

-- Commits the stop of claims; the caller then runs the barrier.
-- verdicts: paused | unchanged | ended
CREATE FUNCTION pause_workflow_v1(p_workflow uuid, p_by text, p_reason text, p_children boolean)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  w record;
BEGIN
  SELECT completed_at, paused_at INTO w FROM workflows WHERE id = p_workflow FOR NO KEY UPDATE;
  IF w.completed_at IS NOT NULL THEN RETURN 'ended'; END IF;
  IF w.paused_at IS NOT NULL THEN RETURN 'unchanged'; END IF;
  UPDATE workflows SET paused_at = clock_timestamp() WHERE id = p_workflow;
  PERFORM append_event_v1(p_workflow, 'WorkflowPaused', NULL, jsonb_build_object(
    'by', p_by, 'reason', p_reason, 'children', p_children));
  RETURN 'paused';
END $$;

-- Publishes nothing: the reconciler finds it due now. What was published before the pause, or would
-- have been during it, has no message out, so its back-off is over.
-- verdicts: resumed | unchanged | ended
CREATE FUNCTION resume_workflow_v1(p_workflow uuid, p_by text, p_reason text)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  w record;
BEGIN
  SELECT completed_at, paused_at INTO w FROM workflows WHERE id = p_workflow FOR NO KEY UPDATE;
  IF w.completed_at IS NOT NULL THEN RETURN 'ended'; END IF;
  IF w.paused_at IS NULL THEN RETURN 'unchanged'; END IF;
  UPDATE workflows SET paused_at = NULL, next_wake_at = playalter_now() WHERE id = p_workflow;
  UPDATE steps SET publish_after = clock_timestamp()
   WHERE workflow_id = p_workflow AND status IN ('pending', 'unknown')
     AND publish_after > clock_timestamp();
  PERFORM append_event_v1(p_workflow, 'WorkflowResumed', NULL, jsonb_build_object(
    'by', p_by, 'reason', p_reason));
  RETURN 'resumed';
END $$;

-- The failed steps that were let pass (items of a map that goes on): what follows them is settled.
-- Read once for all of them, for there may be thousands.
CREATE FUNCTION tolerated_steps_v1(p_workflow uuid) RETURNS SETOF text LANGUAGE sql STABLE AS $$
  SELECT body::jsonb ->> 'step' FROM events
   WHERE workflow_id = p_workflow AND body LIKE '%"is_tolerated"%'
     AND body::jsonb ->> 'type' = 'StepFailed'
  UNION
  SELECT key FROM steps
   WHERE workflow_id = p_workflow AND status = 'failed' AND adopted_from IS NOT NULL
$$;

-- The steps that cannot go on without a person. p_person: actions whose open calls nobody can look up;
-- null: whatever is unknown.
CREATE FUNCTION needs_person_v1(p_workflow uuid, p_person text[])
RETURNS TABLE (step_key text, reason text) LANGUAGE sql AS $$
  SELECT s.key, CASE WHEN s.undo AND s.status = 'failed' THEN 'compensation_failed'
                     WHEN s.status = 'failed' THEN 'step_failed'
                     WHEN s.status = 'unknown' THEN 'unknown_outcome'
                     WHEN s.crashes < 5 THEN 'store_unavailable'
                     ELSE 'crashing' END
    FROM workflows w JOIN steps s ON s.workflow_id = w.id
   WHERE w.id = p_workflow AND (w.completed_at IS NULL OR s.undo AND s.key LIKE '%~orphan[%')
     AND CASE s.status WHEN 'failed' THEN s.undo
                            OR w.status = 'running'
                            AND s.key NOT IN (SELECT tolerated_steps_v1(p_workflow))
                       WHEN 'unknown' THEN p_person IS NULL OR s.action = ANY (p_person)
                       WHEN 'pending' THEN s.crashes >= 5 OR is_held_off_v1(s.error)
                       -- It is being tried, and nothing is better yet.
                       WHEN 'running' THEN is_held_off_v1(s.error)
                       ELSE false END
   ORDER BY s.position, s.key
$$;

-- Nobody is called any more when nothing else needs a person; else for what is left. What no step
-- stands for (a time-out past the pivot) stays until somebody dismisses it.
-- The caller holds the workflow row.
CREATE FUNCTION settle_attention_v1(p_workflow uuid, p_person text[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  before text;
  need record;
BEGIN
  SELECT attention INTO before FROM workflows WHERE id = p_workflow;
  IF before IS NULL OR before NOT IN ('unknown_outcome', 'lookup_refused', 'compensation_failed',
                                      'step_failed', 'crashing', 'store_unavailable') THEN
    RETURN;
  END IF;
  SELECT step_key, reason INTO need FROM needs_person_v1(p_workflow, p_person) LIMIT 1;
  IF FOUND AND need.reason = before THEN RETURN; END IF;
  UPDATE workflows SET attention = NULL WHERE id = p_workflow;
  PERFORM append_event_v1(p_workflow, 'AttentionResolved', NULL,
                          jsonb_build_object('reason', before));
  IF need.step_key IS NOT NULL THEN
    PERFORM call_person_v1(p_workflow, need.step_key, need.reason);
  END IF;
END $$;

-- A workflow's call for a person is answered though no step stands for it.
CREATE FUNCTION dismiss_attention_v1(p_workflow uuid, p_by text, p_reason text)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  w record;
BEGIN
  SELECT attention, completed_at INTO w FROM workflows WHERE id = p_workflow FOR NO KEY UPDATE;
  IF w.completed_at IS NOT NULL THEN RETURN 'ended'; END IF;
  IF w.attention IS NULL THEN RETURN 'unchanged'; END IF;
  IF EXISTS (SELECT FROM needs_person_v1(p_workflow, NULL)) THEN RETURN 'needs_step'; END IF;
  UPDATE workflows SET attention = NULL WHERE id = p_workflow;
  PERFORM append_event_v1(p_workflow, 'AttentionResolved', NULL, jsonb_build_object(
    'reason', w.attention, 'by', p_by, 'why', p_reason));
  RETURN 'dismissed';
END $$;

-- Due now, with a message on its way from whoever asked. The caller holds the workflow row; a paused
-- workflow's steps are published when it goes on.
CREATE FUNCTION make_due_v1(p_workflow uuid, p_key text, p_republish double precision)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  is_paused boolean;
BEGIN
  UPDATE steps SET wake_at = NULL, crashes = 0, finished_at = NULL,
         publish_after = clock_timestamp() + seconds(p_republish)
   WHERE workflow_id = p_workflow AND key = p_key;
  PERFORM wake_by_v1(p_workflow, playalter_now() + seconds(p_republish));
  SELECT paused_at IS NOT NULL AND completed_at IS NULL INTO is_paused
    FROM workflows WHERE id = p_workflow;
  RETURN CASE WHEN is_paused THEN 'paused' ELSE 'due' END;
END $$;

-- A step that failed, or waits for its next try, is due now. Where it starts anew (corrected input, or
-- a failure that the vendor may keep under the old key) the generation rises: never while a call of it
-- is open, and past an accepted call only with a reason, for that call is made a second time.
-- verdicts: due (publish it) | paused (due when the workflow goes on) | not_running | no_step
--           | open_intent | needs_reason | tolerated | not_waiting | undo | the step's status
CREATE FUNCTION retry_step_by_hand_v1(
  p_workflow uuid, p_key text, p_input jsonb, p_by text, p_reason text, p_person text[],
  p_republish double precision)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  w record;
  s record;
  calls record;
  rises boolean;
  due text;
BEGIN
  SELECT status INTO w FROM workflows WHERE id = p_workflow FOR NO KEY UPDATE;
  IF w.status <> 'running' THEN RETURN 'not_running'; END IF;
  SELECT status, undo, action, wake_at, external_id, generation INTO s FROM steps
   WHERE workflow_id = p_workflow AND key = p_key FOR NO KEY UPDATE;
  IF NOT FOUND THEN RETURN 'no_step'; END IF;
  IF s.undo THEN RETURN 'undo'; END IF;
  IF s.status NOT IN ('failed', 'pending') THEN RETURN s.status; END IF;
  IF s.status = 'pending' AND coalesce(s.wake_at <= playalter_now(), true) THEN
    RETURN 'not_waiting';
  END IF;
  IF s.status = 'failed' AND p_key IN (SELECT tolerated_steps_v1(p_workflow)) THEN
    RETURN 'tolerated';
  END IF;
  SELECT count(*) AS number, count(*) FILTER (WHERE resolution IS NULL) AS open,
         count(*) FILTER (WHERE resolution = 'accepted') AS accepted INTO calls
    FROM intents WHERE workflow_id = p_workflow AND step_key = p_key;
  IF p_input IS NOT NULL AND calls.open > 0 THEN RETURN 'open_intent'; END IF;
  rises := calls.open = 0 AND (s.status = 'failed' OR p_input IS NOT NULL)
           AND (calls.number > 0 OR s.external_id IS NOT NULL);
  IF rises AND calls.accepted > 0 AND p_reason IS NULL THEN RETURN 'needs_reason'; END IF;
  IF s.action = 'control.approval' AND s.status = 'failed' THEN
    -- It is asked for anew: an answer given before stands as what it was, and counts no more.
    UPDATE webhook_deliveries SET external_id = external_id || '#' || s.generation
     WHERE external_id = s.external_id;
  END IF;
  UPDATE steps SET status = 'pending', tries = 0, error = NULL,
         input = CASE WHEN s.action NOT IN ('control.approval', 'control.wait')
                      THEN coalesce(p_input, input) END,
         generation = generation + rises::integer,
         external_id = CASE WHEN rises THEN NULL ELSE external_id END, expires_at = NULL,
         started_at = NULL
   WHERE workflow_id = p_workflow AND key = p_key;
  IF rises THEN
    -- What its earlier calls made is the step's no longer, should they still be heard of.
    UPDATE webhook_deliveries SET fate = NULL
     WHERE effect_workflow_id = p_workflow AND effect_step_key = p_key AND fate = 'own';
  END IF;
  PERFORM append_event_v1(p_workflow, 'StepRetryRequested', p_key, jsonb_build_object(
    'by', p_by, 'reason', p_reason, 'input', payload_hash(p_input),
    'generation', CASE WHEN rises THEN s.generation + 1 END));
  due := make_due_v1(p_workflow, p_key, p_republish);
  PERFORM settle_attention_v1(p_workflow, p_person);
  RETURN due;
END $$;

-- The step will be recorded as skipped by the worker that prepares it, so that what follows is released
-- by the one path that does so. A step whose turn has not come is skipped when it comes.
-- verdicts: due | paused | later | not_running | no_step | shape (it belongs to the shape of the
--           definition) | pivot_sent | tolerated | unchanged | undo | the step's status
CREATE FUNCTION skip_step_v1(
  p_workflow uuid, p_key text, p_by text, p_reason text, p_pivot text, p_person text[],
  p_republish double precision)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  w record;
  s record;
  due text := 'later';
BEGIN
  SELECT status INTO w FROM workflows WHERE id = p_workflow FOR NO KEY UPDATE;
  IF w.status <> 'running' THEN RETURN 'not_running'; END IF;
  SELECT status, undo, action, skip_requested, publish_after INTO s FROM steps
   WHERE workflow_id = p_workflow AND key = p_key FOR NO KEY UPDATE;
  IF NOT FOUND THEN RETURN 'no_step'; END IF;
  IF s.undo THEN RETURN 'undo'; END IF;
  IF s.action IN ('control.join', 'control.expand', 'control.choose', 'control.turn') THEN
    RETURN 'shape';
  END IF;
  IF s.status NOT IN ('pending', 'waiting', 'failed') THEN RETURN s.status; END IF;
  IF s.status = 'failed' AND p_key IN (SELECT tolerated_steps_v1(p_workflow)) THEN
    RETURN 'tolerated';
  END IF;
  IF s.skip_requested THEN RETURN 'unchanged'; END IF;
  -- Skipped, it would count as not made, and what cannot be undone would be.
  IF p_key = p_pivot AND EXISTS (
       SELECT FROM intents WHERE workflow_id = p_workflow AND step_key = p_key
          AND (resolution IS NULL OR resolution = 'accepted')) THEN
    RETURN 'pivot_sent';
  END IF;
  UPDATE steps SET status = 'pending', skip_requested = true, error = NULL
   WHERE workflow_id = p_workflow AND key = p_key;
  PERFORM append_event_v1(p_workflow, 'StepSkipRequested', p_key, jsonb_build_object(
    'by', p_by, 'reason', p_reason));
  IF s.publish_after IS NOT NULL THEN due := make_due_v1(p_workflow, p_key, p_republish); END IF;
  PERFORM settle_attention_v1(p_workflow, p_person);
  RETURN due;
END $$;

-- A person says what became of a step whose fate nobody can look up, or that failed and is held.
--   succeeded: its open calls count as made. With p_response, the vendor's reply to the one open call,
--     the action is replayed and goes on from it; with p_output the step is recorded as it is, without
--     the action: only a person who knows the vendor's reply can give the first.
--   never: nothing happened at the vendor; it runs again, as a new generation.
--   retry: look it up again now.
-- While the workflow is stopping nothing runs again: what was made is undone, what was not is
-- cancelled, by whoever settles it next.
-- verdicts: due | paused | settle | ended | no_step | not_one_open | nothing_open | tolerated
--           | undoing | wrong (`p_as` is not for this step) | the step's status
CREATE FUNCTION resolve_step_v1(
  p_workflow uuid, p_key text, p_as text, p_output jsonb, p_response jsonb, p_by text,
  p_reason text, p_person text[], p_republish double precision)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  w record;
  s record;
  open integer;
  becomes text;
  due text;
BEGIN
  SELECT status INTO w FROM workflows WHERE id = p_workflow FOR NO KEY UPDATE;
  IF w.status NOT IN ('running', 'compensating') AND p_key NOT LIKE '%~orphan[%' THEN
    RETURN 'ended';
  END IF;
  SELECT status, undo, generation INTO s FROM steps
   WHERE workflow_id = p_workflow AND key = p_key FOR NO KEY UPDATE;
  IF NOT FOUND THEN RETURN 'no_step'; END IF;
  IF s.undo THEN
    RETURN resolve_undo_v1(p_workflow, p_key, s.status, p_as, p_by, p_reason, p_person, p_republish);
  END IF;
  IF p_as = 'done' THEN RETURN 'wrong'; END IF;
  IF s.status NOT IN ('unknown', 'failed') THEN RETURN s.status; END IF;
  IF s.status = 'failed' AND w.status = 'compensating' THEN RETURN 'undoing'; END IF;
  IF s.status = 'failed' AND p_key IN (SELECT tolerated_steps_v1(p_workflow)) THEN
    RETURN 'tolerated';
  END IF;
  IF s.status = 'failed' AND p_as = 'retry' THEN RETURN 'wrong'; END IF;
  SELECT count(*) INTO open FROM intents
   WHERE workflow_id = p_workflow AND step_key = p_key AND resolution IS NULL;
  IF p_response IS NOT NULL AND open <> 1 THEN RETURN 'not_one_open'; END IF;
  IF p_as = 'never' AND open = 0 THEN RETURN 'nothing_open'; END IF;
  IF p_as <> 'retry' THEN
    UPDATE intents SET resolution = CASE p_as WHEN 'never' THEN 'never' ELSE 'accepted' END,
           response = CASE p_as WHEN 'never' THEN NULL ELSE p_response END
     WHERE workflow_id = p_workflow AND step_key = p_key AND resolution IS NULL;
  END IF;
  -- An unknown step is the only one that a stopping workflow lets run: it is looked at once more.
  becomes := CASE WHEN p_as = 'retry' OR p_as = 'succeeded' AND w.status = 'compensating'
                  THEN 'unknown' ELSE 'pending' END;
  UPDATE steps SET status = becomes, error = NULL, resolved_output = p_output,
         skip_requested = skip_requested OR p_output IS NOT NULL,
         tries = CASE p_as WHEN 'never' THEN 0 ELSE tries END,
         generation = generation + (p_as = 'never')::integer,
         expires_at = CASE p_as WHEN 'never' THEN NULL ELSE expires_at END,
         started_at = CASE p_as WHEN 'never' THEN NULL ELSE started_at END,
         external_id = CASE p_as WHEN 'retry' THEN external_id END
   WHERE workflow_id = p_workflow AND key = p_key;
  PERFORM append_event_v1(p_workflow, 'StepResolved', p_key, jsonb_build_object(
    'as', p_as, 'by', p_by, 'reason', p_reason, 'status', becomes,
    'output', payload_hash(p_output), 'response', payload_hash(p_response),
    'generation', CASE p_as WHEN 'never' THEN s.generation + 1 END));
  due := make_due_v1(p_workflow, p_key, p_republish);
  PERFORM settle_attention_v1(p_workflow, p_person);
  RETURN CASE WHEN w.status = 'compensating' AND p_as = 'never' THEN 'settle' ELSE due END;
END $$;

-- A compensation: `done` takes it for done, `retry` tries it again now. The caller holds the workflow
-- row and the step's. verdicts: due | paused | settle | wrong | the step's status
CREATE FUNCTION resolve_undo_v1(
  p_workflow uuid, p_key text, p_status text, p_as text, p_by text, p_reason text,
  p_person text[], p_republish double precision)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  original text := left(p_key, -length('~undo'));
  due text;
BEGIN
  IF p_as NOT IN ('done', 'retry') THEN RETURN 'wrong'; END IF;
  IF p_status NOT IN ('pending', 'failed') THEN RETURN p_status; END IF;
  UPDATE steps SET status = CASE p_as WHEN 'done' THEN 'succeeded' ELSE 'pending' END,
         error = NULL, tries = CASE p_as WHEN 'done' THEN tries ELSE 0 END
   WHERE workflow_id = p_workflow AND key = p_key;
  PERFORM append_event_v1(p_workflow, 'StepResolved', p_key, jsonb_build_object(
    'as', p_as, 'by', p_by, 'reason', p_reason,
    'status', CASE p_as WHEN 'done' THEN 'succeeded' ELSE 'pending' END));
  IF p_as = 'retry' THEN
    due := make_due_v1(p_workflow, p_key, p_republish);
    PERFORM settle_attention_v1(p_workflow, p_person);
    RETURN due;
  END IF;
  UPDATE steps SET finished_at = clock_timestamp(), wake_at = NULL
   WHERE workflow_id = p_workflow AND key = p_key;
  UPDATE steps SET status = 'compensated'
   WHERE workflow_id = p_workflow AND key = original AND status <> 'failed';
  PERFORM append_event_v1(p_workflow, 'StepCompensated', original, NULL);
  PERFORM settle_attention_v1(p_workflow, p_person);
  PERFORM wake_by_v1(p_workflow, playalter_now());
  RETURN 'settle';
END $$;

-- A new workflow of the same version that takes over recorded outcomes. The caller holds the source's
-- row and has checked that its steps `p_adopted` ({key, task_id}) have ended and stand; nobody else
-- can see, so nobody can lock, the rows of the new one. What the source itself had adopted stays
-- whose it was. External ids and generations stay behind: they belong to the calls, which are not ours.
CREATE FUNCTION fork_workflow_v1(
  p_id uuid, p_source uuid, p_from_step text, p_input jsonb, p_idempotency_key text,
  p_request_hash bytea, p_timeout double precision, p_steps jsonb, p_adopted jsonb,
  p_step_input jsonb, p_by text, p_reason text, p_republish double precision)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM start_workflow_v2(p_id, w.user_id, w.type, w.version, p_input, p_idempotency_key,
                            p_request_hash, p_timeout, p_steps, p_republish, w.priority,
                            NULL, NULL, 0, w.budget)
     FROM workflows w WHERE w.id = p_source;
  UPDATE workflows SET forked_from = p_source WHERE id = p_id;
  UPDATE steps SET input = p_step_input
   WHERE workflow_id = p_id AND key = p_from_step AND p_step_input IS NOT NULL;
  INSERT INTO steps (workflow_id, key, task_id, position, action, status, next_keys, join_key,
                     item_heads, item_count, next_item, remaining, item, input, output, error, cost,
                     started_at, finished_at, adopted_from)
  SELECT p_id, s.key, a.task_id, s.position, s.action, s.status, s.next_keys, s.join_key,
         s.item_heads, s.item_count, s.next_item, s.remaining, s.item, s.input, s.output, s.error,
         s.cost, s.started_at, s.finished_at, coalesce(s.adopted_from, p_source)
    FROM jsonb_to_recordset(p_adopted) AS a (key text, task_id uuid)
    JOIN steps s ON s.workflow_id = p_source AND s.key = a.key;
  PERFORM append_event_v1(p_id, 'StepAdopted', s.key, jsonb_build_object(
            'from', s.adopted_from, 'output', payload_hash(s.output), 'cost', nullif(s.cost, 0),
            'status', nullif(s.status, 'succeeded'), 'count', s.item_count,
            'code', s.error ->> 'code'))
     FROM (SELECT * FROM steps WHERE workflow_id = p_id AND adopted_from IS NOT NULL
            ORDER BY position, key) AS s;
  PERFORM append_event_v1(p_source, 'WorkflowForked', NULL, jsonb_build_object(
    'fork', p_id, 'from_step', p_from_step, 'by', p_by, 'reason', p_reason));
END $$;
