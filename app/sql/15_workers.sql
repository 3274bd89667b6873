-- Workers that differ from the definition's actions, queues that no worker takes, and deliveries whose
-- decision fails.

-- What the inputs of a version's actions looked like when its body was checked: a fingerprint for each
-- action. Null for versions of before.
ALTER TABLE definitions ADD COLUMN fingerprints jsonb;

-- What each worker has last said of itself. A worker that has stopped takes no queue, and its row stays
-- for a day: an empty table means that no worker has ever told.
CREATE TABLE worker_presence (
  name text PRIMARY KEY,
  queues text[] NOT NULL,
  seen_at timestamptz DEFAULT clock_timestamp() NOT NULL
);

ALTER TABLE webhook_deliveries
  ADD COLUMN decision_failures integer DEFAULT 0 NOT NULL,
  ADD COLUMN decide_after timestamptz;

-- This worker cannot run the step, another may: it is as it was before the claim, with the reason. No
-- outcome and so no event, and no time of the step's own. The longer it lasts, the longer the pauses,
-- up to a minute; the jitter brings it to other workers. After an hour a person is called, once.
CREATE FUNCTION leave_step_v1(
  p_workflow uuid, p_key text, p_fence uuid, p_prior text, p_calls jsonb, p_error jsonb)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  w text;
  at double precision := extract(epoch FROM clock_timestamp());
  since double precision;
  pause interval;
  was_told boolean;
  is_long boolean;
BEGIN
  SELECT status INTO w FROM workflows WHERE id = p_workflow FOR NO KEY UPDATE;
  SELECT (error ->> 'waits_since')::double precision, error ? 'is_for_a_person'
    INTO since, was_told FROM steps
   WHERE workflow_id = p_workflow AND key = p_key AND error ->> 'code' = p_error ->> 'code';
  since := coalesce(since, at);
  is_long := coalesce(was_told, false) OR at - since > 3600;
  pause := seconds(least(60, greatest(4, (at - since) / 4)) * (0.75 + random() / 4));
  UPDATE steps SET status = p_prior, crashes = 0, lease_until = NULL, deadline_at = NULL,
         error = p_error || jsonb_build_object('waits_since', since)
           || CASE WHEN is_long THEN '{"is_for_a_person": true}' ELSE '{}' END::jsonb,
         wake_at = playalter_now() + pause, publish_after = clock_timestamp(),
         expires_at = expires_at + pause,
         started_at = CASE WHEN tries > 0 OR external_id IS NOT NULL OR p_prior <> 'pending'
                           THEN started_at END
   WHERE workflow_id = p_workflow AND key = p_key AND fence = p_fence AND status = 'running';
  IF NOT FOUND THEN RETURN 'fenced'; END IF;
  IF p_calls IS NOT NULL THEN PERFORM log_calls_v1(p_workflow, p_key, p_calls); END IF;
  IF is_long AND NOT coalesce(was_told, false) THEN
    PERFORM call_person_v1(p_workflow, p_key, 'no_fitting_worker');
  END IF;
  PERFORM wake_by_v1(p_workflow, playalter_now() + pause);
  RETURN CASE w WHEN 'compensating' THEN 'draining' ELSE 'recorded' END;
END $$;

-- The delivery could not be decided: not before some time, ever longer up to a day. At p_most failures
-- a person is called, unless somebody holds the workflow (the next failure calls). Returns their number.
CREATE FUNCTION put_off_delivery_v1(p_delivery uuid, p_most integer) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
  d record;
BEGIN
  UPDATE webhook_deliveries SET decision_failures = decision_failures + 1,
         decide_after = clock_timestamp() + CASE WHEN decision_failures + 1 >= p_most
           THEN interval '1 day' ELSE seconds(2 ^ (decision_failures + 1)) END
   WHERE id = p_delivery AND fate IS NULL
  RETURNING decision_failures, effect_workflow_id, effect_step_key INTO d;
  IF NOT FOUND THEN RETURN 0; END IF;
  IF d.decision_failures >= p_most THEN
    PERFORM 1 FROM workflows WHERE id = d.effect_workflow_id FOR NO KEY UPDATE SKIP LOCKED;
    IF FOUND THEN
      PERFORM call_person_v1(d.effect_workflow_id, d.effect_step_key, 'delivery_undecided');
    END IF;
  END IF;
  RETURN d.decision_failures;
END $$;

-- As before; with the last one that could not be decided nobody is called any more.
CREATE FUNCTION decide_delivery_v2(p_delivery uuid, p_orphan jsonb, p_most integer) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
  verdict text := decide_delivery_v1(p_delivery, p_orphan);
  workflow uuid;
  need record;
BEGIN
  IF verdict NOT IN ('own', 'orphan') THEN RETURN verdict; END IF;
  SELECT effect_workflow_id INTO workflow FROM webhook_deliveries WHERE id = p_delivery;
  -- decide_delivery_v1 holds the workflow row.
  UPDATE workflows SET attention = NULL
   WHERE id = workflow AND attention = 'delivery_undecided' AND NOT EXISTS (
     SELECT FROM webhook_deliveries WHERE effect_workflow_id = workflow AND fate IS NULL
        AND decision_failures >= p_most);
  IF FOUND THEN
    PERFORM append_event_v1(workflow, 'AttentionResolved', NULL,
                            jsonb_build_object('reason', 'delivery_undecided'));
    -- Who was called for this was not called for what came after. What is in doubt tells itself.
    SELECT step_key, reason INTO need FROM needs_person_v1(workflow, '{}') LIMIT 1;
    IF FOUND THEN PERFORM call_person_v1(workflow, need.step_key, need.reason); END IF;
  END IF;
  RETURN verdict;
END $$;

-- As before; and a delivery that cannot be decided calls for an ended workflow too.
CREATE FUNCTION dismiss_attention_v2(p_workflow uuid, p_by text, p_reason text)
RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  PERFORM FROM workflows WHERE id = p_workflow AND completed_at IS NOT NULL
    AND attention = 'delivery_undecided' FOR NO KEY UPDATE;
  IF NOT FOUND THEN RETURN dismiss_attention_v1(p_workflow, p_by, p_reason); END IF;
  UPDATE workflows SET attention = NULL WHERE id = p_workflow;
  PERFORM append_event_v1(p_workflow, 'AttentionResolved', NULL, jsonb_build_object(
    'reason', 'delivery_undecided', 'by', p_by, 'why', p_reason));
  RETURN 'dismissed';
END $$;
