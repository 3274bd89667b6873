-- What the second release adds: children, ways and turns, waits, steps that are skipped or whose
-- failure is tolerated, failures that hold, and the pivot.
ALTER TABLE workflows
  ADD COLUMN parent_id uuid REFERENCES workflows (id),
  ADD COLUMN parent_key text,
  ADD COLUMN depth smallint DEFAULT 0 NOT NULL,
  ADD COLUMN undoes boolean DEFAULT true NOT NULL,
  ADD COLUMN budget bigint,
  ADD COLUMN spent bigint DEFAULT 0 NOT NULL;
CREATE INDEX workflows_by_parent ON workflows (parent_id) WHERE parent_id IS NOT NULL;

ALTER TABLE steps
  ADD COLUMN adopted_from uuid,
  ADD COLUMN skip_requested boolean DEFAULT false NOT NULL;

-- What the platforms cost, in micro-USD. Once it is over the budget no claim begins anything, and the
-- reconciler stops the workflow in its next pass. Whoever writes a cost holds the workflow row.
CREATE FUNCTION spend_v1() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE workflows SET spent = spent + NEW.cost - OLD.cost,
         next_wake_at = CASE WHEN spent + NEW.cost - OLD.cost > budget AND status = 'running'
           THEN least(next_wake_at, playalter_now()) ELSE next_wake_at END
   WHERE id = NEW.workflow_id;
  RETURN NULL;
END $$;
UPDATE workflows SET spent = c.cost
  FROM (SELECT workflow_id, sum(cost) AS cost FROM steps GROUP BY workflow_id HAVING sum(cost) > 0) AS c
 WHERE c.workflow_id = workflows.id AND completed_at IS NULL;
CREATE TRIGGER spend AFTER UPDATE OF cost ON steps FOR EACH ROW
  WHEN (NEW.cost <> OLD.cost) EXECUTE FUNCTION spend_v1();

-- Deliveries of our own (a child that ended) are looked for by every pass of the reconciler.
CREATE INDEX webhook_deliveries_unconsumed ON webhook_deliveries (received_at)
  WHERE platform = 'control' AND consumed_at IS NULL;

-- One workflow with its first rows and its first event; false for a child whose parent is stopping
-- already. Whoever starts it publishes its first steps,
-- so they are not due for another copy before p_republish seconds.
CREATE FUNCTION start_workflow_v2(
  p_id uuid, p_user uuid, p_type text, p_version integer, p_input jsonb,
  p_idempotency_key text, p_request_hash bytea, p_timeout double precision,
  p_steps jsonb, p_republish double precision, p_priority integer,
  p_parent uuid, p_parent_key text, p_depth integer, p_budget bigint)
RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  -- No child begins behind the barrier of its parent's stop.
  IF p_parent IS NOT NULL AND NOT EXISTS (
       SELECT FROM workflows WHERE id = p_parent AND status = 'running' FOR KEY SHARE) THEN
    RETURN false;
  END IF;
  INSERT INTO workflows (id, user_id, type, version, status, input, idempotency_key, request_hash,
                         next_wake_at, expires_at, started_at, priority, parent_id, parent_key,
                         depth, budget)
  VALUES (p_id, p_user, p_type, p_version, 'running', p_input, p_idempotency_key, p_request_hash,
          playalter_now() + seconds(least(p_republish, p_timeout)),
          playalter_now() + seconds(p_timeout), clock_timestamp(), p_priority, p_parent, p_parent_key, p_depth, p_budget);
  PERFORM add_steps_v1(p_id, p_steps, p_republish);
  PERFORM append_event_v1(p_id, 'WorkflowStarted', NULL, jsonb_build_object(
    'workflow_type', p_type, 'version', p_version, 'input', payload_hash(p_input),
    'parent', p_parent, 'parent_step', p_parent_key, 'budget', p_budget));
  RETURN true;
END $$;

-- A child that ended tells its parent: a fact of its own, committed with the child's last event. The
-- parent is another workflow, woken in another transaction.
CREATE FUNCTION tell_parent_v1(p_workflow uuid, p_parent uuid, p_status text) RETURNS void
LANGUAGE sql AS $$
  INSERT INTO webhook_deliveries (platform, delivery_id, external_id, kind, payload)
  SELECT 'control', format('workflow:%s:%s', p_workflow, p_status), 'workflow:' || p_workflow,
         'workflow.' || p_status, '{}' WHERE p_parent IS NOT NULL
  ON CONFLICT DO NOTHING
$$;

-- Parts of a join have settled, one or several: what that releases. The caller holds the workflow row.
CREATE FUNCTION settle_parts_v1(
  p_workflow uuid, p_join text, p_count integer, OUT ready text[], OUT is_joined boolean)
LANGUAGE plpgsql AS $$
DECLARE
  j record;
BEGIN
  ready := '{}';
  is_joined := false;
  UPDATE steps SET remaining = remaining - p_count, next_item = CASE WHEN next_item < item_count
         THEN least(next_item + p_count, item_count) ELSE next_item END
   WHERE workflow_id = p_workflow AND key = p_join
  RETURNING remaining, old.next_item AS item, new.next_item AS upto, item_heads INTO j;
  IF j.remaining = 0 THEN
    ready := ARRAY[p_join];
    is_joined := true;
  ELSIF j.upto > j.item THEN
    ready := ARRAY(SELECT format('%s[%s].%s', p_join, item, head)
                     FROM generate_series(j.item, j.upto - 1) AS item, unnest(j.item_heads) AS head);
  END IF;
END $$;

-- verdicts: fenced | released (`released`: won for publishing; `joined`: the last part, its join)
--           | completed | child_completed | draining (the workflow is stopping) | undone
-- p_status: succeeded | skipped | failed (tolerated: what runs beside it goes on).
-- p_turn, where more happens than the release of what follows: {steps, skip, release, join, count,
-- window, settle}: rows to add; keys that will never run; keys to release; the block's join, with the
-- number of its items and its window, or of its turns; the join that a dead path reports to.
-- p_orphan: what the step, passed over, leaves at the vendor (see add_orphan_v1).
CREATE FUNCTION finish_step_v2(
  p_workflow uuid, p_key text, p_fence uuid, p_input jsonb, p_output jsonb, p_cost bigint,
  p_calls jsonb, p_status text, p_error jsonb, p_turn jsonb, p_workflow_output jsonb,
  p_is_pivot boolean, p_republish double precision, p_orphan jsonb DEFAULT NULL)
RETURNS TABLE (verdict text, released text[], joined text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  w record;
  s record;
  ready text[] := '{}';
  skipped text[];
  joining text;
  is_joined boolean := false;
BEGIN
  SELECT status, paused_at, parent_id INTO w FROM workflows WHERE id = p_workflow
     FOR NO KEY UPDATE;
  UPDATE steps SET status = p_status, output = p_output, input = coalesce(p_input, input),
         cost = cost + p_cost, error = p_error, crashes = 0, lease_until = NULL, deadline_at = NULL,
         finished_at = clock_timestamp()
   WHERE workflow_id = p_workflow AND key = p_key AND fence = p_fence AND status = 'running'
  RETURNING next_keys, join_key, undo, cost, tries INTO s;
  IF NOT FOUND THEN
    RETURN QUERY SELECT 'fenced', NULL::text[], NULL;
    RETURN;
  END IF;
  IF p_calls IS NOT NULL THEN PERFORM log_calls_v1(p_workflow, p_key, p_calls); END IF;
  IF s.undo THEN
    UPDATE steps SET status = 'compensated'
     WHERE workflow_id = p_workflow AND key = left(p_key, -length('~undo')) AND status <> 'failed';
    PERFORM append_event_v1(p_workflow, 'StepCompensated', left(p_key, -length('~undo')),
                            jsonb_build_object('output', payload_hash(p_output), 'cost', s.cost,
                                               'tries', nullif(s.tries, 0)));
    IF p_key LIKE '%~orphan[%' THEN
      RETURN QUERY SELECT 'recorded', NULL::text[], NULL;
      RETURN;
    END IF;
    PERFORM wake_by_v1(p_workflow, playalter_now());
    RETURN QUERY SELECT 'undone', NULL::text[], NULL;
    RETURN;
  END IF;
  IF p_turn -> 'skip' IS NOT NULL THEN
    WITH passed AS (
      UPDATE steps SET status = 'skipped', finished_at = clock_timestamp()
       WHERE workflow_id = p_workflow AND status = 'pending'
         AND key IN (SELECT jsonb_array_elements_text(p_turn -> 'skip'))
      RETURNING key)
    SELECT array_agg(key ORDER BY key) INTO skipped FROM passed;
  END IF;
  PERFORM append_event_v1(p_workflow,
    CASE p_status WHEN 'succeeded' THEN 'StepSucceeded' WHEN 'skipped' THEN 'StepSkipped'
                  ELSE 'StepFailed' END, p_key,
    jsonb_build_object('output', payload_hash(p_output), 'cost', nullif(s.cost, 0),
      'tries', nullif(s.tries, 0),
      'code', p_error ->> 'code', 'is_tolerated', nullif(p_status = 'failed', false),
      'skipped', to_jsonb(skipped), 'count', p_turn -> 'count'));
  IF p_orphan IS NOT NULL THEN PERFORM add_orphan_v1(p_workflow, p_key, p_orphan); END IF;
  IF p_is_pivot AND w.status = 'compensating' AND p_status = 'succeeded' THEN
    -- The pivot was on its way when the stop came: nothing may be undone any more. While it was in
    -- doubt nothing was cancelled either.
    UPDATE workflows SET status = 'running', cause = NULL, error = NULL WHERE id = p_workflow;
    w.status := 'running';
    -- Cancelled by a lookup meanwhile: they go on too, from what their intents say.
    UPDATE steps SET status = 'pending', finished_at = NULL, wake_at = NULL,
           publish_after = clock_timestamp()
     WHERE workflow_id = p_workflow AND status = 'cancelled' AND NOT undo;
    PERFORM append_event_v1(p_workflow, 'StopRefused', p_key, NULL);
    IF EXISTS (SELECT FROM steps WHERE workflow_id = p_workflow AND status = 'failed' AND NOT undo) THEN
      PERFORM call_person_v1(p_workflow, p_key, 'step_failed');
    END IF;
  END IF;
  -- Also while the workflow is stopping: should a pivot in doubt prove to have happened, it goes on
  -- from here; else what is released now is cancelled with the rest.
  IF p_turn IS NOT NULL THEN
    IF p_turn -> 'steps' IS NOT NULL THEN
      PERFORM add_steps_v1(p_workflow, p_turn -> 'steps', p_republish);
    END IF;
    IF p_turn -> 'window' IS NOT NULL THEN
      UPDATE steps SET remaining = (p_turn ->> 'count')::integer,
             item_count = (p_turn ->> 'count')::integer,
             next_item = least((p_turn ->> 'count')::integer, (p_turn ->> 'window')::integer)
       WHERE workflow_id = p_workflow AND key = p_turn ->> 'join';
    ELSIF p_turn -> 'count' IS NOT NULL THEN
      UPDATE steps SET item_count = (p_turn ->> 'count')::integer
       WHERE workflow_id = p_workflow AND key = p_turn ->> 'join';
    END IF;
  END IF;
  joining := CASE WHEN p_turn IS NULL THEN s.join_key ELSE p_turn ->> 'settle' END;
  IF joining IS NOT NULL THEN
    SELECT f.ready, f.is_joined INTO ready, is_joined FROM settle_parts_v1(p_workflow, joining, 1) AS f;
  ELSIF p_turn -> 'release' IS NOT NULL THEN
    ready := ARRAY(SELECT jsonb_array_elements_text(p_turn -> 'release'));
  ELSIF s.next_keys IS NOT NULL THEN
    ready := s.next_keys;
  ELSIF w.status = 'running' THEN
    UPDATE workflows SET status = 'succeeded', output = p_workflow_output, next_wake_at = NULL,
           attention = CASE WHEN attention IS NULL THEN NULL
                            WHEN has_failed_orphan_v1(p_workflow) THEN attention END,
           completed_at = clock_timestamp() WHERE id = p_workflow;
    PERFORM append_event_v1(p_workflow, 'WorkflowSucceeded', NULL,
                            jsonb_build_object('output', payload_hash(p_workflow_output)));
    PERFORM tell_parent_v1(p_workflow, w.parent_id, 'succeeded');
    RETURN QUERY SELECT CASE WHEN w.parent_id IS NULL THEN 'completed' ELSE 'child_completed' END,
                        NULL::text[], NULL;
    RETURN;
  END IF;
  IF cardinality(ready) > 0 THEN
    UPDATE steps SET publish_after = clock_timestamp() + seconds(p_republish)
     WHERE workflow_id = p_workflow AND key = ANY (ready) AND status = 'pending';
  END IF;
  IF w.status <> 'running' THEN
    PERFORM wake_by_v1(p_workflow, playalter_now());
    RETURN QUERY SELECT 'draining', NULL::text[], NULL;
    RETURN;
  END IF;
  PERFORM wake_by_v1(p_workflow, playalter_now() + seconds(p_republish));
  IF w.paused_at IS NOT NULL THEN ready := '{}'; is_joined := false; END IF;
  RETURN QUERY SELECT 'released', ready, CASE WHEN is_joined THEN joining END;
END $$;

-- The step fails for good. The workflow is undone, unless it holds (p_hold) or its pivot (p_pivot) has
-- succeeded: then a person decides. A compensation that fails for good needs a person too.
CREATE FUNCTION fail_step_v2(
  p_workflow uuid, p_key text, p_fence uuid, p_input jsonb, p_cost bigint, p_calls jsonb,
  p_error jsonb, p_hold boolean, p_pivot text)
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
  RETURNING undo, tries, cost INTO s;
  IF NOT FOUND THEN RETURN 'fenced'; END IF;
  IF p_calls IS NOT NULL THEN PERFORM log_calls_v1(p_workflow, p_key, p_calls); END IF;
  PERFORM append_event_v1(p_workflow, 'StepFailed', p_key,
                          jsonb_build_object('code', p_error ->> 'code', 'tries', s.tries,
                                             'cost', s.cost));
  IF s.undo THEN
    PERFORM call_person_v1(p_workflow, p_key, 'compensation_failed');
    IF p_key LIKE '%~orphan[%' THEN RETURN 'recorded'; END IF;
    PERFORM wake_by_v1(p_workflow, playalter_now());
    RETURN 'draining';
  END IF;
  IF w = 'running' AND (p_hold OR EXISTS (
       SELECT FROM steps WHERE workflow_id = p_workflow AND key = p_pivot AND status = 'succeeded'))
  THEN
    PERFORM call_person_v1(p_workflow, p_key, 'step_failed');
    PERFORM wake_by_v1(p_workflow, playalter_now() + interval '5 minutes');
    RETURN 'recorded';
  END IF;
  PERFORM stop_workflow_v1(p_workflow, 'failed', p_error || jsonb_build_object('step', p_key));
  RETURN 'draining';
END $$;

-- A wait whose end is known (p_until), or that only somebody ends: no jitter, no growth. What came for
-- an approval before it waited stands under the signal's own name (p_signal) and is taken now: both
-- sides hold the workflow row, so neither can miss the other.
CREATE FUNCTION wait_step_v1(
  p_workflow uuid, p_key text, p_fence uuid, p_input jsonb, p_cost bigint, p_calls jsonb,
  p_external_id text, p_until timestamptz, p_signal text, p_republish double precision)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  w record;
  s record;
  early uuid;
BEGIN
  SELECT status, paused_at INTO w FROM workflows WHERE id = p_workflow FOR NO KEY UPDATE;
  UPDATE steps SET status = 'waiting', external_id = p_external_id, error = NULL, tries = 0,
         input = coalesce(p_input, input), cost = cost + p_cost, crashes = 0, wake_at = p_until,
         lease_until = NULL, deadline_at = NULL
   WHERE workflow_id = p_workflow AND key = p_key AND fence = p_fence AND status = 'running'
  RETURNING old.external_id AS before, new.cost,
            old.tries > 0 OR old.error IS NOT NULL AS is_recovered INTO s;
  IF NOT FOUND THEN RETURN 'fenced'; END IF;
  IF p_calls IS NOT NULL THEN PERFORM log_calls_v1(p_workflow, p_key, p_calls); END IF;
  IF s.before IS DISTINCT FROM p_external_id OR s.is_recovered THEN
    PERFORM append_event_v1(p_workflow, 'StepSuspended', p_key, jsonb_build_object(
      'external_id', p_external_id, 'until', (extract(epoch FROM p_until) * 1000000)::bigint,
      'cost', s.cost));
  END IF;
  IF w.status = 'compensating' THEN RETURN 'draining'; END IF;
  SELECT id INTO early FROM webhook_deliveries
   WHERE external_id = p_signal AND consumed_at IS NULL ORDER BY id LIMIT 1;
  IF early IS NULL THEN
    PERFORM wake_by_v1(p_workflow, p_until);
    RETURN 'recorded';
  END IF;
  PERFORM take_signal_v1(p_workflow, p_key, early, p_external_id, p_republish);
  RETURN CASE WHEN w.paused_at IS NULL THEN 'woken' ELSE 'recorded' END;
END $$;

-- The caller holds the workflow row.
CREATE FUNCTION take_signal_v1(p_workflow uuid, p_key text, p_delivery uuid, p_external_id text,
                               p_republish double precision)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  UPDATE webhook_deliveries SET external_id = p_external_id, consumed_at = clock_timestamp()
   WHERE id = p_delivery;
  UPDATE steps SET status = 'pending', wake_at = NULL,
         publish_after = clock_timestamp() + seconds(p_republish)
   WHERE workflow_id = p_workflow AND key = p_key;
  PERFORM append_event_v1(p_workflow, 'StepWoken', p_key,
                          jsonb_build_object('external_id', p_external_id));
  PERFORM wake_by_v1(p_workflow, playalter_now() + seconds(p_republish));
END $$;

-- A named signal, kept until an approval takes it. verdicts: duplicate | ended | stored | woken (and
-- the key of the approval that it woke).
CREATE FUNCTION signal_workflow_v1(
  p_workflow uuid, p_name text, p_step text, p_delivery_id text, p_payload jsonb,
  p_republish double precision)
RETURNS TABLE (verdict text, step_key text, is_paused boolean) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  w record;
  s record;
  made uuid;
  plain text := format('signal:%s:%s', p_workflow, p_name);
BEGIN
  SELECT status, paused_at INTO w FROM workflows WHERE id = p_workflow FOR NO KEY UPDATE;
  IF w.status <> 'running' THEN RETURN QUERY SELECT 'ended', NULL, false; RETURN; END IF;
  INSERT INTO webhook_deliveries (platform, delivery_id, external_id, kind, payload)
  VALUES ('control', p_delivery_id, plain, 'signal', p_payload)
  ON CONFLICT DO NOTHING RETURNING id INTO made;
  IF made IS NULL THEN RETURN QUERY SELECT 'duplicate', NULL, false; RETURN; END IF;
  PERFORM append_event_v1(p_workflow, 'SignalReceived', NULL, jsonb_build_object(
    'name', p_name, 'payload', payload_hash(p_payload)));
  SELECT key, external_id INTO s FROM steps
   WHERE workflow_id = p_workflow AND status = 'waiting'
     AND starts_with(external_id, plain || ':') AND (p_step IS NULL OR key = p_step)
   ORDER BY position, key LIMIT 1;
  IF NOT FOUND THEN RETURN QUERY SELECT 'stored', NULL, false; RETURN; END IF;
  PERFORM take_signal_v1(p_workflow, s.key, made, s.external_id, p_republish);
  RETURN QUERY SELECT 'woken', s.key, w.paused_at IS NOT NULL;
END $$;

CREATE FUNCTION wake_step_v2(p_workflow uuid, p_key text, p_external_id text,
                             p_republish double precision)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  w record;
  s record;
BEGIN
  SELECT status, paused_at INTO w FROM workflows WHERE id = p_workflow FOR NO KEY UPDATE;
  IF NOT EXISTS (SELECT FROM webhook_deliveries
                  WHERE external_id = p_external_id AND consumed_at IS NULL) THEN
    RETURN false;
  END IF;
  UPDATE steps SET status = 'pending', wake_at = NULL,
         publish_after = clock_timestamp() + seconds(p_republish)
   WHERE workflow_id = p_workflow AND key = p_key AND status = 'waiting'
     AND external_id = p_external_id
  RETURNING undo INTO s;
  IF NOT FOUND THEN RETURN false; END IF;
  UPDATE webhook_deliveries SET consumed_at = clock_timestamp()
   WHERE external_id = p_external_id AND consumed_at IS NULL;
  PERFORM append_event_v1(p_workflow, 'StepWoken', p_key,
                          jsonb_build_object('external_id', p_external_id));
  PERFORM wake_by_v1(p_workflow, playalter_now() + seconds(p_republish));
  RETURN (w.status = 'running' OR s.undo) AND w.paused_at IS NULL;
END $$;

-- A stop is committed first; after it the caller runs the barrier (FOR UPDATE on the row), which
-- waits out the claims in flight, and only then are steps read. verdicts: stopped | stopping | ended |
-- past_pivot: once the pivot has been sent no cancel, once it has succeeded no time-out undoes anything.
CREATE FUNCTION stop_workflow_v2(p_workflow uuid, p_cause text, p_error jsonb, p_pivot text,
                                 p_undoes boolean)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  w record;
BEGIN
  SELECT status INTO w FROM workflows WHERE id = p_workflow FOR NO KEY UPDATE;
  IF w.status = 'compensating' THEN
    IF p_cause = 'cancelled' THEN PERFORM resume_workflow_v1(p_workflow, NULL, 'cancelled'); END IF;
    RETURN 'stopping';
  END IF;
  IF w.status NOT IN ('pending', 'running') THEN RETURN 'ended'; END IF;
  IF EXISTS (
       SELECT FROM steps WHERE workflow_id = p_workflow AND key = p_pivot
          AND (status = 'succeeded' OR p_cause = 'cancelled'
               AND status IN ('pending', 'running', 'waiting', 'unknown') AND EXISTS (
                 SELECT FROM intents i WHERE i.workflow_id = p_workflow AND i.step_key = p_pivot
                    AND (i.resolution IS NULL OR i.resolution = 'accepted')))) THEN
    IF p_cause <> 'cancelled' THEN
      PERFORM call_person_v1(p_workflow, NULL, p_cause);
      UPDATE workflows SET expires_at = CASE p_cause WHEN 'timed_out' THEN NULL ELSE expires_at END,
             budget = CASE p_cause WHEN 'over_budget' THEN NULL ELSE budget END
       WHERE id = p_workflow;
    END IF;
    RETURN 'past_pivot';
  END IF;
  UPDATE workflows SET status = 'compensating', cause = p_cause, error = p_error,
         undoes = p_undoes, paused_at = CASE WHEN p_cause = 'cancelled' THEN NULL ELSE paused_at END,
         next_wake_at = least(next_wake_at, playalter_now())
   WHERE id = p_workflow;
  PERFORM append_event_v1(p_workflow, 'WorkflowStopping', NULL, jsonb_build_object(
    'cause', p_cause, 'code', p_error ->> 'code', 'undoes', nullif(p_undoes, true)));
  RETURN 'stopped';
END $$;

-- A child that ended well is undone with its parent: the one way out of a terminal state.
CREATE FUNCTION reopen_child_v1(p_workflow uuid, p_parent uuid, p_error jsonb, p_pivot text)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  w record;
BEGIN
  SELECT status, parent_id INTO w FROM workflows WHERE id = p_workflow FOR NO KEY UPDATE;
  IF w.status <> 'succeeded' OR w.parent_id IS DISTINCT FROM p_parent THEN RETURN 'ended'; END IF;
  IF EXISTS (SELECT FROM steps WHERE workflow_id = p_workflow AND key = p_pivot
                AND status = 'succeeded') THEN
    RETURN 'past_pivot';
  END IF;
  UPDATE workflows SET status = 'compensating', cause = 'cancelled', error = p_error,
         completed_at = NULL, paused_at = NULL, next_wake_at = playalter_now()
   WHERE id = p_workflow;
  PERFORM append_event_v1(p_workflow, 'WorkflowStopping', NULL, jsonb_build_object(
    'cause', 'cancelled', 'code', p_error ->> 'code', 'is_reopened', true));
  RETURN 'stopped';
END $$;

-- One workflow put right: expired leases, due polls, due steps won for publishing, and the next time
-- to look. Returns no row when somebody else has the workflow. Only here is next_wake_at raised.
-- p_doubtful: actions whose open intents only a lookup can settle.
-- p_backed_up: platforms whose queues are long.
-- Of a workflow that has ended only its orphans (see add_orphan_v1) are left.
CREATE FUNCTION reconcile_workflow_v2(
  p_workflow uuid, p_may_expire boolean, p_doubtful text[], p_backed_up text[],
  p_republish double precision, p_max_crashes integer)
RETURNS TABLE (status text, won text[], timed_out boolean, over_budget boolean, expired integer)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  w record;
  s record;
  due text[];
  copies text[];
  expired_count integer := 0;
  earliest timestamptz;
  shift interval := playalter_now() - clock_timestamp();
BEGIN
  SELECT status, paused_at, expires_at, completed_at, attention, spent > budget AS is_over INTO w
    FROM workflows WHERE id = p_workflow FOR NO KEY UPDATE SKIP LOCKED;
  IF NOT FOUND THEN RETURN; END IF;

  IF p_may_expire THEN
    FOR s IN SELECT key, fence, crashes, undo, action FROM steps
              WHERE workflow_id = p_workflow AND status = 'running'
                AND lease_until < clock_timestamp() ORDER BY key LOOP
      IF expire_lease_v1(p_workflow, s.key, s.fence,
           NOT s.undo AND s.action = ANY (p_doubtful) AND EXISTS (
             SELECT FROM intents i WHERE i.workflow_id = p_workflow AND i.step_key = s.key
                AND i.resolution IS NULL)) THEN
        expired_count := expired_count + 1;
        IF s.crashes + 1 >= p_max_crashes THEN
          UPDATE steps SET wake_at = playalter_now() + interval '1 hour'
           WHERE workflow_id = p_workflow AND key = s.key;
          PERFORM call_person_v1(p_workflow, s.key, 'crashing');
        END IF;
      END IF;
    END LOOP;
  END IF;

  -- A store that is there again tells nobody. No action is named: a call in doubt that needs a person
  -- tells so itself, each time that it is looked at.
  IF w.attention = 'store_unavailable' THEN PERFORM settle_attention_v1(p_workflow, '{}'); END IF;

  IF w.completed_at IS NOT NULL
     OR w.paused_at IS NULL AND w.status IN ('running', 'compensating') THEN
    -- Time to ask the platform: a lost webhook must not matter. Or a wait has come to its end.
    UPDATE steps SET status = 'pending', wake_at = NULL, publish_after = clock_timestamp()
     WHERE workflow_id = p_workflow AND status = 'waiting' AND wake_at <= playalter_now()
       AND (w.status = 'running' OR undo);
    -- A retry, a poll or an undo that comes due has no message out; what was published before may
    -- still stand in a long queue, and a copy would only stand behind it. One in ten goes out all the
    -- same: what a killed worker had in hand stands in no queue.
    SELECT array_agg(key) FILTER (WHERE NOT is_copy),
           array_agg(key) FILTER (WHERE is_copy) INTO due, copies
      FROM (SELECT key, wake_at IS NULL AND claims = 0 AND NOT undo
                   AND split_part(action, '.', 1) = ANY (p_backed_up) AND random() >= 0.1 AS is_copy
      FROM steps
     WHERE workflow_id = p_workflow AND status IN ('pending', 'unknown')
       AND publish_after <= clock_timestamp()
       AND (wake_at IS NULL OR wake_at <= playalter_now())
       AND (w.status = 'running' OR undo OR status = 'unknown')
       AND (w.completed_at IS NULL OR key LIKE '%~orphan[%')) AS found;
    PERFORM win_publish_v1(p_workflow, copies, p_republish);
    due := win_publish_v1(p_workflow, due, p_republish);
  END IF;
  IF w.completed_at IS NOT NULL THEN
    RETURN QUERY SELECT w.status, coalesce(due, '{}'), false, false, expired_count;
    RETURN;
  END IF;

  SELECT min(CASE status WHEN 'running' THEN lease_until + shift
                         WHEN 'waiting' THEN wake_at
                         ELSE greatest(publish_after + shift, coalesce(wake_at, '-infinity')) END)
    INTO earliest FROM steps
   WHERE workflow_id = p_workflow
     AND (status IN ('running', 'waiting') OR status IN ('pending', 'unknown')
          AND publish_after IS NOT NULL)
     AND (w.status = 'running' OR undo OR status <> 'waiting');
  IF w.paused_at IS NOT NULL THEN earliest := playalter_now() + interval '1 hour'; END IF;
  earliest := least(coalesce(earliest, playalter_now() + CASE WHEN w.attention IS NULL
                      THEN interval '5 seconds' ELSE interval '5 minutes' END),
                    CASE WHEN w.status = 'running' THEN w.expires_at END);
  UPDATE workflows SET next_wake_at = greatest(earliest, playalter_now() + interval '1 second')
   WHERE id = p_workflow;
  RETURN QUERY SELECT w.status, coalesce(due, '{}'),
    w.status = 'running' AND coalesce(w.expires_at <= playalter_now(), false),
    w.status = 'running' AND coalesce(w.is_over, false), expired_count;
END $$;

-- As before, and with what a person has asked for: `skips`, the step is passed over. An orphan is taken
-- back whatever its workflow does.
CREATE FUNCTION claim_step_v2(
  p_workflow uuid, p_key text, p_lease double precision, p_attempt double precision,
  p_republish double precision)
RETURNS TABLE (verdict text, fence uuid, prior text, tries integer, generation integer,
               external_id text, input jsonb, item jsonb, expired boolean, undo boolean,
               stopping boolean, skips boolean, released text[], joined text, user_id uuid, type text,
               version integer)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  w record;
  s record;
  won text[];
BEGIN
  -- A claim that a crash of the server loses is a step that runs again; an intent's or outcome's
  -- own flush, which comes before anything that matters, carries it to disk.
  PERFORM set_config('synchronous_commit', 'off', true);
  SELECT workflows.status, paused_at, user_id, type, version, spent <= budget AS is_within,
         completed_at IS NOT NULL AS has_ended INTO w
    FROM workflows WHERE id = p_workflow FOR KEY SHARE;
  IF NOT FOUND THEN
    RETURN QUERY SELECT 'skip', NULL::uuid, NULL, 0, 0, NULL, NULL::jsonb, NULL::jsonb, false,
                        false, false, false, NULL::text[], NULL, NULL::uuid, NULL, 0;
    RETURN;
  END IF;
  UPDATE steps SET
      status = 'running', fence = gen_random_uuid(), claims = claims + 1, wake_at = NULL,
      lease_until = clock_timestamp() + seconds(least(p_lease, p_attempt)),
      deadline_at = clock_timestamp() + seconds(p_attempt),
      started_at = coalesce(started_at, clock_timestamp())
   WHERE workflow_id = p_workflow AND key = p_key
     AND status IN ('pending', 'unknown') AND publish_after IS NOT NULL
     AND (wake_at IS NULL OR wake_at <= playalter_now())
     AND CASE WHEN undo AND key LIKE '%~orphan[%' THEN w.paused_at IS NULL OR w.has_ended
              WHEN w.paused_at IS NOT NULL THEN false
              WHEN w.status = 'running' THEN NOT undo AND coalesce(w.is_within, true)
              WHEN w.status = 'compensating' THEN undo OR status = 'unknown'
              ELSE false END
  RETURNING steps.fence, old.status AS prior, steps.tries, steps.generation, steps.external_id,
            steps.input, steps.item, CASE WHEN steps.expires_at IS NULL THEN false
                 ELSE steps.expires_at <= playalter_now() END AS expired,
            steps.undo, steps.skip_requested INTO s;
  IF FOUND THEN
    RETURN QUERY SELECT 'claimed', s.fence, s.prior, s.tries, s.generation, s.external_id, s.input,
                        s.item, s.expired, s.undo, w.status = 'compensating', s.skip_requested,
                        NULL::text[],
                        NULL, w.user_id, w.type, w.version;
    RETURN;
  END IF;
  SELECT steps.status, next_keys, join_key INTO s
    FROM steps WHERE workflow_id = p_workflow AND key = p_key;
  IF NOT FOUND OR s.status NOT IN ('succeeded', 'skipped') OR w.status <> 'running'
     OR w.paused_at IS NOT NULL THEN
    RETURN QUERY SELECT 'skip', NULL::uuid, NULL, 0, 0, NULL, NULL::jsonb, NULL::jsonb, false,
                        false, false, false, NULL::text[], NULL, NULL::uuid, NULL, 0;
    RETURN;
  END IF;
  won := win_publish_v1(p_workflow, coalesce(s.next_keys, ARRAY[s.join_key]), p_republish);
  RETURN QUERY SELECT 'done', NULL::uuid, NULL, 0, 0, NULL, NULL::jsonb, NULL::jsonb, false, false, false,
                      false, won, CASE WHEN s.join_key = ANY (won) THEN s.join_key END,
                      NULL::uuid, NULL, 0;
END $$;

-- As before, and with `skips`.
CREATE FUNCTION advance_step_v2(
  p_workflow uuid, p_key text, p_fence uuid, p_input jsonb, p_output jsonb, p_cost bigint,
  p_calls jsonb, p_republish double precision, p_next text, p_lease double precision,
  p_attempt double precision)
RETURNS TABLE (verdict text, released text[], joined text, fence uuid, prior text, tries integer,
               generation integer, external_id text, input jsonb, item jsonb, expired boolean,
               skips boolean, user_id uuid, type text, version integer)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  w record;
  s record;
  c record;
  real timestamptz := clock_timestamp();
BEGIN
  SELECT status, paused_at, user_id, type, version, spent + p_cost <= budget AS is_within INTO w
    FROM workflows WHERE id = p_workflow FOR NO KEY UPDATE;
  IF w.status = 'running' AND w.paused_at IS NULL AND coalesce(w.is_within, true) THEN
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
                steps.item, steps.skip_requested INTO c;
      IF FOUND THEN
        RETURN QUERY SELECT 'advanced', NULL::text[], NULL, c.fence, 'pending', c.tries,
                            c.generation, c.external_id, c.input, c.item, false, c.skip_requested,
                            w.user_id, w.type,
                            w.version;
      ELSE
        -- Released and claimed by somebody else already: nothing of ours to move.
        RETURN QUERY SELECT 'released', '{}'::text[], NULL, NULL::uuid, NULL, 0, 0, NULL,
                            NULL::jsonb, NULL::jsonb, false, false, NULL::uuid, NULL, 0;
      END IF;
      RETURN;
    END IF;
  END IF;
  RETURN QUERY SELECT f.verdict, f.released, f.joined, NULL::uuid, NULL, 0, 0, NULL, NULL::jsonb,
                      NULL::jsonb, false, false, NULL::uuid, NULL, 0
    FROM finish_step_v2(p_workflow, p_key, p_fence, p_input, p_output, p_cost, p_calls, 'succeeded',
                        NULL, NULL, NULL, false, p_republish) AS f;
END $$;

-- As before; each poll that found nothing is followed by one twice as far away, up to an hour, and the
-- first polls of waits that began together are spread wider, for they are the many.
CREATE FUNCTION suspend_step_v2(
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
         wake_at = least(coalesce(expires_at, playalter_now() + seconds(p_timeout)),
           playalter_now() + CASE WHEN external_id = p_external_id
           THEN (0.75 + random() / 2) * greatest(seconds(p_seconds),
                  least(interval '1 hour', clock_timestamp() - started_at))
           ELSE (0.75 + random()) * seconds(p_seconds) END),
         expires_at = coalesce(expires_at, playalter_now() + seconds(p_timeout)),
         lease_until = NULL, deadline_at = NULL
   WHERE workflow_id = p_workflow AND key = p_key AND fence = p_fence AND status = 'running'
  RETURNING old.external_id AS before, new.wake_at, new.cost,
            old.tries > 0 OR old.error IS NOT NULL AS is_recovered INTO s;
  IF NOT FOUND THEN RETURN 'fenced'; END IF;
  IF p_calls IS NOT NULL THEN PERFORM log_calls_v1(p_workflow, p_key, p_calls); END IF;
  IF s.before IS DISTINCT FROM p_external_id OR s.is_recovered THEN
    PERFORM append_event_v1(p_workflow, 'StepSuspended', p_key, jsonb_build_object(
      'external_id', p_external_id, 'cost', s.cost));
  END IF;
  PERFORM wake_by_v1(p_workflow, s.wake_at);
  RETURN CASE w WHEN 'compensating' THEN 'draining' ELSE 'recorded' END;
END $$;

-- Whether a step with this error has been held off by a store of ours for so long that a person is
-- called.
CREATE FUNCTION is_held_off_v1(p_error jsonb) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT coalesce((p_error ->> 'since')::double precision
                  < extract(epoch FROM clock_timestamp()) - 3600, false)
$$;

-- As before; `timed_out`, and nothing is changed, where the next attempt would come after the step's
-- own time (p_timeout, null for none). What is no try (p_is_try; a store of ours was full or away) is
-- not counted: the longer it lasts, the longer the pauses, up to a minute; `since` tells how long, and
-- after an hour a person is called (see is_held_off_v1).
CREATE FUNCTION retry_step_v2(
  p_workflow uuid, p_key text, p_fence uuid, p_input jsonb, p_cost bigint, p_calls jsonb,
  p_error jsonb, p_seconds double precision, p_new_generation boolean,
  p_timeout double precision, p_is_try boolean)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  w text;
  s record;
  since double precision;
BEGIN
  SELECT status INTO w FROM workflows WHERE id = p_workflow FOR NO KEY UPDATE;
  IF NOT p_is_try THEN
    SELECT (error ->> 'since')::double precision INTO since FROM steps
     WHERE workflow_id = p_workflow AND key = p_key AND error ->> 'code' = p_error ->> 'code';
    since := coalesce(since, extract(epoch FROM clock_timestamp()));
    p_error := p_error || jsonb_build_object('since', since);
    p_seconds := greatest(p_seconds,
                          least(60, (extract(epoch FROM clock_timestamp()) - since) / 4));
  END IF;
  IF p_timeout IS NOT NULL THEN
    UPDATE steps SET expires_at = playalter_now() - (clock_timestamp() - started_at)
                                  + seconds(p_timeout)
     WHERE workflow_id = p_workflow AND key = p_key AND fence = p_fence AND expires_at IS NULL;
    IF EXISTS (SELECT FROM steps WHERE workflow_id = p_workflow AND key = p_key
                  AND fence = p_fence AND expires_at < playalter_now() + seconds(p_seconds)) THEN
      RETURN 'timed_out';
    END IF;
  END IF;
  UPDATE steps SET status = 'pending', tries = tries + p_is_try::integer, error = p_error,
         input = coalesce(p_input, input), cost = cost + p_cost, crashes = 0,
         generation = generation + p_new_generation::integer,
         wake_at = playalter_now() + seconds(p_seconds), publish_after = clock_timestamp(),
         lease_until = NULL, deadline_at = NULL
   WHERE workflow_id = p_workflow AND key = p_key AND fence = p_fence AND status = 'running'
  RETURNING tries, generation, cost INTO s;
  IF NOT FOUND THEN RETURN 'fenced'; END IF;
  IF p_calls IS NOT NULL THEN PERFORM log_calls_v1(p_workflow, p_key, p_calls); END IF;
  PERFORM append_event_v1(p_workflow, 'StepRetryScheduled', p_key, jsonb_build_object(
    'code', p_error ->> 'code', 'seconds', round(p_seconds::numeric, 3),
    'tries', s.tries, 'generation', s.generation, 'cost', s.cost));
  IF is_held_off_v1(p_error) AND w IN ('running', 'compensating') THEN
    PERFORM call_person_v1(p_workflow, p_key, 'store_unavailable');
  END IF;
  PERFORM wake_by_v1(p_workflow, playalter_now() + seconds(p_seconds));
  RETURN CASE w WHEN 'compensating' THEN 'draining' ELSE 'recorded' END;
END $$;

-- As before; a call that was sent is an event each time, with what a rebuild needs.
CREATE FUNCTION doubt_step_v2(
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
  RETURNING old.error ->> 'code' AS before, new.tries, new.cost INTO s;
  IF NOT FOUND THEN RETURN 'fenced'; END IF;
  IF p_calls IS NOT NULL THEN PERFORM log_calls_v1(p_workflow, p_key, p_calls); END IF;
  IF p_was_sent OR s.before IS DISTINCT FROM p_error ->> 'code' THEN
    PERFORM append_event_v1(p_workflow, 'StepOutcomeUnknown', p_key,
                            jsonb_build_object('code', p_error ->> 'code', 'tries', s.tries,
                                               'cost', s.cost));
  END IF;
  IF p_attention IS NOT NULL THEN PERFORM call_person_v1(p_workflow, p_key, p_attention); END IF;
  PERFORM wake_by_v1(p_workflow, playalter_now() + seconds(p_seconds));
  RETURN CASE w WHEN 'compensating' THEN 'draining' ELSE 'recorded' END;
END $$;

-- As before, with what a rebuild needs.
CREATE FUNCTION cancel_step_v2(
  p_workflow uuid, p_key text, p_fence uuid, p_input jsonb, p_cost bigint, p_calls jsonb)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  s record;
BEGIN
  PERFORM 1 FROM workflows WHERE id = p_workflow FOR NO KEY UPDATE;
  UPDATE steps SET status = 'cancelled', input = coalesce(p_input, input), cost = cost + p_cost,
         lease_until = NULL, deadline_at = NULL, finished_at = clock_timestamp()
   WHERE workflow_id = p_workflow AND key = p_key AND fence = p_fence AND status = 'running'
  RETURNING tries, cost INTO s;
  IF NOT FOUND THEN RETURN 'fenced'; END IF;
  IF p_calls IS NOT NULL THEN PERFORM log_calls_v1(p_workflow, p_key, p_calls); END IF;
  PERFORM append_event_v1(p_workflow, 'StepCancelled', p_key,
                          jsonb_build_object('tries', s.tries, 'cost', s.cost));
  PERFORM wake_by_v1(p_workflow, playalter_now());
  RETURN 'draining';
END $$;
