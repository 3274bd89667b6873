-- Decides what the flow control of a definition makes of a request to start a workflow, before the
-- start is written: its rate limit, its singleton, its debounce or its batch. The caller writes the
-- start in the same transaction, if the verdict is `accepted`.
--
-- p_id is the id that a workflow of this request's own would get. p_wanted: {rate, single, gather}, each
-- null if the definition has none:
--   rate: {key, limit, period} (see take_rate_v1)
--   single: {key, mode} (see claim_singleton_v1)
--   gather: see gather_start_v1
-- The other parameters are those of defer_workflow_v1.
--
-- Locks, in this order: the idempotency key, the rate, the singleton, the gathering, its workflow.
--
-- verdicts:
--   known: an earlier request with this idempotency key was answered with the workflow `id`, or this
--     very request has committed before, and only its answer was lost (its id is p_id, or its hash is
--     null).
--   rate_limited: nothing was started. One may start after `retry_after` seconds.
--   live: a singleton's workflow `id` lives, so nothing was started.
--   opened: the workflow p_id waits for further starts until `starts_at`.
--   joined: this start is part of the workflow `id`, which waits until `starts_at`.
--   complete: the same, and it starts now.
--   accepted: nothing prevents the start.
CREATE OR REPLACE FUNCTION accept_start_v1(
  p_id uuid, p_user uuid, p_type text, p_version integer, p_input jsonb, p_idempotency_key text,
  p_request_hash bytea, p_priority integer, p_budget bigint, p_artifacts uuid[], p_wanted jsonb,
  p_flow jsonb)
RETURNS TABLE (verdict text, id uuid, request_hash bytea, starts_at timestamptz,
               retry_after double precision)
LANGUAGE plpgsql
-- As in submit_workflow_v1: each statement is planned once.
SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
  flow record;
  rate record;
  single record;
BEGIN
  IF p_idempotency_key IS NOT NULL THEN
    PERFORM pg_advisory_xact_lock(idempotency_lock_v1(p_user, p_idempotency_key));
  END IF;
  verdict := 'known';
  SELECT known.id, known.request_hash INTO id, request_hash
    FROM known_start_v1(p_user, p_idempotency_key) AS known;
  IF NOT FOUND THEN
    SELECT found.id INTO id FROM (
      SELECT w.id FROM workflows AS w WHERE w.id = p_id
      UNION ALL
      SELECT h.workflow_id FROM start_handles AS h WHERE h.id = p_id) AS found;
  END IF;
  IF id IS NOT NULL THEN
    RETURN NEXT;
    RETURN;
  END IF;

  SELECT * INTO flow FROM jsonb_to_record(p_wanted) AS f (rate jsonb, single jsonb, gather jsonb);
  IF flow.rate IS NOT NULL THEN
    SELECT * INTO rate FROM jsonb_to_record(flow.rate)
        AS r (key text, "limit" integer, period double precision);
    retry_after := take_rate_v1(p_type, rate.key, rate.limit, rate.period);
    IF retry_after > 0 THEN
      verdict := 'rate_limited';
      RETURN NEXT;
      RETURN;
    END IF;
  END IF;

  IF flow.single IS NOT NULL THEN
    SELECT * INTO single FROM jsonb_to_record(flow.single) AS s (key text, mode text);
    id := claim_singleton_v1(p_id, p_user, p_type, single.key, single.mode);
    IF id IS NOT NULL THEN
      verdict := 'live';
      INSERT INTO start_handles (id, user_id, workflow_id, idempotency_key, request_hash)
      VALUES (p_id, p_user, accept_start_v1.id, p_idempotency_key, p_request_hash);
      RETURN NEXT;
      RETURN;
    END IF;
  END IF;

  IF flow.gather IS NOT NULL THEN
    SELECT g.verdict, g.id, g.starts_at INTO verdict, id, starts_at
      FROM gather_start_v1(p_id, p_user, p_type, p_version, p_input, p_idempotency_key,
        p_request_hash, p_priority, p_budget, p_artifacts, flow.gather, p_flow) AS g;
    RETURN NEXT;
    RETURN;
  END IF;
  verdict := 'accepted';
  id := p_id;
  RETURN NEXT;
END $$;
