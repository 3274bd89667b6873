-- Records the end of a step with its event, and releases the steps that follow, in one transaction.
-- Accepted only from the attempt whose fence (the id of its claim) is current. The workflow row is
-- locked first, FOR NO KEY UPDATE.
--
--   p_status: succeeded, skipped, or failed. A failure is recorded here only if the definition
--     tolerates it, so that the workflow goes on.
--   p_turn: what the end of the step changes beside its own row, for a step that does more than
--     release its successors; null for others. The caller makes it from the definition. Its
--     members: steps (rows to add), room (the most rows that the workflow may have before these are
--     added), skip (keys that never run), release (keys to release), join (the key of the block's
--     join), count with window (the number of a map's items, and how many may run at once), count
--     alone (the number of a loop's turns), settle (the join that a path reports to when the rest
--     of it is skipped).
--   p_orphan: the effect that a step leaves at the platform when it is skipped, or times out and is
--     tolerated (see add_orphan_v1).
--   p_ordinal: a call of the step that the platform has accepted, and whose answer is not recorded
--     yet (null: there is none). p_response, p_effect_id and p_effect_address are as in
--     resolve_intent_v1. So the answer and the end of the step that it leads to take one commit.
--   p_reused: the result that the step has taken from another ({workflow, from, saved}, see
--     claim_result_v1). The event StepReused says so.
--   p_is_pivot: the step is the pivot, after which nothing is undone. If it has succeeded, a stop
--     that has begun is refused.
--
-- A compensation (a row that undoes another) marks the undone row as compensated and releases
-- nothing.
--
-- verdicts:
--   fenced: the fence is not current; nothing was written.
--   no_room: the workflow has more rows than `room`; nothing was written.
--   released: `released` are the keys that the caller must publish; `joined` is the join if this
--     was its last part.
--   completed: the workflow has succeeded. If flow control applied to it (`has_flow`), its places are
--     free now, and the caller hands them on.
--   child_completed: the same, and the workflow has a parent.
--   draining: the end was recorded, and the workflow is stopping.
--   undone: a compensation has succeeded.
--   recorded: the compensation of an orphan effect has succeeded.
CREATE OR REPLACE FUNCTION finish_step_v1(
  p_workflow uuid, p_key text, p_fence uuid, p_input jsonb, p_output jsonb, p_cost bigint,
  p_calls jsonb, p_status text, p_error jsonb, p_code text, p_turn jsonb, p_workflow_output jsonb,
  p_is_pivot boolean, p_republish double precision, p_orphan jsonb DEFAULT NULL,
  p_ordinal integer DEFAULT NULL, p_response jsonb DEFAULT NULL, p_effect_id text DEFAULT NULL,
  p_effect_address text DEFAULT NULL, p_reused jsonb DEFAULT NULL)
RETURNS TABLE (verdict text, released text[], joined text, has_flow boolean)
LANGUAGE plpgsql
-- As in submit_workflow_v1: each statement is planned once.
SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
  w record;
  s record;
  ready text[] := '{}';
  skipped text[];
  joining text;
  is_joined boolean := false;
  room integer;
BEGIN
  SELECT status, paused_at, parent_id, flow IS NOT NULL AS has_flow INTO w FROM workflows
   WHERE id = p_workflow FOR NO KEY UPDATE;
  -- Every transaction that adds rows holds the lock, so that no two of them share the same room.
  room := (p_turn ->> 'room')::integer;
  IF room IS NOT NULL THEN
    IF room < (SELECT count(*) FROM (
                 SELECT FROM steps WHERE workflow_id = p_workflow LIMIT room + 1) AS found) THEN
      RETURN QUERY SELECT 'no_room', NULL::text[], NULL, false;
      RETURN;
    END IF;
  END IF;
  UPDATE steps SET status = p_status, output = p_output, input = coalesce(p_input, input),
         cost = nullif(coalesce(cost, 0) + p_cost, 0), error = p_error, error_code = p_code,
         is_tolerated = p_status = 'failed', crashes = 0, lease_until = NULL, deadline_at = NULL,
         finished_at = clock_timestamp()
   WHERE workflow_id = p_workflow AND key = p_key AND fence = p_fence AND status = 'running'
  RETURNING next_keys, join_key, kind, of_key, coalesce(cost, 0) AS cost, tries, generation,
            coalesce(old.reserved, 0) AS had_reserved INTO s;
  IF NOT FOUND THEN
    RETURN QUERY SELECT 'fenced', NULL::text[], NULL, false;
    RETURN;
  END IF;
  IF p_ordinal IS NOT NULL THEN
    UPDATE intents SET resolution = 'accepted', response = p_response, effect_id = p_effect_id,
           effect_address = p_effect_address, answer_id = NULL
     WHERE workflow_id = p_workflow AND step_key = p_key AND generation = s.generation
       AND ordinal = p_ordinal;
  END IF;
  IF p_calls IS NOT NULL THEN PERFORM log_calls_v1(p_workflow, p_key, p_calls); END IF;
  IF s.kind <> 'step' THEN
    UPDATE steps SET status = 'compensated'
     WHERE workflow_id = p_workflow AND key = s.of_key AND status <> 'failed';
    UPDATE steps SET reserved = 0
     WHERE workflow_id = p_workflow AND key = s.of_key AND reserved > 0;
    PERFORM append_event_v1(p_workflow, 'StepCompensated', s.of_key,
                            jsonb_build_object('output', payload_hash(p_output), 'cost', s.cost,
                                               'tries', nullif(s.tries, 0)));
    IF s.kind = 'orphan_undo' THEN
      RETURN QUERY SELECT 'recorded', NULL::text[], NULL, false;
      RETURN;
    END IF;
    PERFORM wake_by_v1(p_workflow, playalter_now());
    RETURN QUERY SELECT 'undone', NULL::text[], NULL, false;
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
  IF p_reused IS NOT NULL AND p_status = 'succeeded' THEN
    PERFORM append_event_v1(p_workflow, 'StepReused', p_key, p_reused);
  END IF;
  PERFORM append_event_v1(p_workflow,
    CASE p_status WHEN 'succeeded' THEN 'StepSucceeded' WHEN 'skipped' THEN 'StepSkipped'
                  ELSE 'StepFailed' END, p_key,
    jsonb_build_object('output', payload_hash(p_output), 'cost', nullif(s.cost, 0),
      'tries', nullif(s.tries, 0),
      'code', p_code, 'is_tolerated', nullif(p_status = 'failed', false),
      'skipped', to_jsonb(skipped), 'count', p_turn -> 'count'));
  IF p_orphan IS NOT NULL THEN
    PERFORM add_orphan_v1(p_workflow, p_key, p_orphan, greatest(s.had_reserved - p_cost, 0));
  END IF;
  IF p_is_pivot AND w.status = 'compensating' AND p_status = 'succeeded' THEN
    -- The pivot was running when the stop came, and has succeeded, so nothing may be undone. The
    -- stop itself has cancelled nothing: it cancels no step while the pivot's outcome is open.
    UPDATE workflows SET status = 'running', cause = NULL, error = NULL WHERE id = p_workflow;
    w.status := 'running';
    -- A step that was cancelled after a lookup runs again, and goes on from its recorded intents.
    UPDATE steps SET status = 'pending', finished_at = NULL, wake_at = NULL,
           publish_after = '-infinity'
     WHERE workflow_id = p_workflow AND status = 'cancelled' AND kind = 'step';
    PERFORM append_event_v1(p_workflow, 'StopRefused', p_key, NULL);
    IF EXISTS (SELECT FROM steps WHERE workflow_id = p_workflow AND status = 'failed'
                  AND kind = 'step') THEN
      PERFORM call_person_v1(p_workflow, p_key, 'step_failed');
    END IF;
  END IF;
  -- This is done also while the workflow is stopping. If a pivot of unknown outcome proves to have
  -- succeeded, the workflow goes on from here; if not, the steps released now are cancelled like
  -- all others.
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
           attention = CASE WHEN attention IS NOT NULL
                            THEN lasting_attention_v1(p_workflow, attention) END,
           completed_at = clock_timestamp() WHERE id = p_workflow;
    PERFORM append_event_v1(p_workflow, 'WorkflowSucceeded', NULL,
                            jsonb_build_object('output', payload_hash(p_workflow_output)));
    PERFORM tell_parent_v1(p_workflow, w.parent_id, 'succeeded');
    RETURN QUERY SELECT CASE WHEN w.parent_id IS NULL THEN 'completed' ELSE 'child_completed' END,
                        NULL::text[], NULL, w.has_flow;
    RETURN;
  END IF;
  IF cardinality(ready) > 0 THEN
    UPDATE steps SET publish_after = clock_timestamp() + seconds(p_republish),
           ready_at = coalesce(ready_at, playalter_now())
     WHERE workflow_id = p_workflow AND key = ANY (ready) AND status = 'pending';
  END IF;
  IF w.status <> 'running' THEN
    PERFORM wake_by_v1(p_workflow, playalter_now());
    RETURN QUERY SELECT 'draining', NULL::text[], NULL, false;
    RETURN;
  END IF;
  PERFORM wake_by_v1(p_workflow, playalter_now() + seconds(p_republish));
  IF w.paused_at IS NOT NULL THEN ready := '{}'; is_joined := false; END IF;
  RETURN QUERY SELECT 'released', ready, CASE WHEN is_joined THEN joining END, false;
END $$;
