-- Who may run a step, until when, by which token. Never takes a running step: only the reconciler
-- expires a lease. KEY SHARE does not wait for outcomes, and a stop's barrier waits it out.
-- verdicts: claimed | done (recorded before; `released` are successors won for publishing,
-- `joined` a join that has no publisher) | skip
CREATE FUNCTION claim_step_v1(
  p_workflow uuid, p_key text, p_lease double precision, p_attempt double precision,
  p_republish double precision)
RETURNS TABLE (verdict text, fence uuid, prior text, tries integer, generation integer,
               external_id text, input jsonb, item jsonb, expired boolean, undo boolean,
               stopping boolean,               released text[], joined text, user_id uuid, type text, version integer)
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
  SELECT workflows.status, paused_at, user_id, type, version INTO w
    FROM workflows WHERE id = p_workflow FOR KEY SHARE;
  IF NOT FOUND THEN
    RETURN QUERY SELECT 'skip', NULL::uuid, NULL, 0, 0, NULL, NULL::jsonb, NULL::jsonb, false,
                        false, false, NULL::text[], NULL, NULL::uuid, NULL, 0;
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
     AND w.paused_at IS NULL
     AND CASE w.status WHEN 'running' THEN NOT undo
                       WHEN 'compensating' THEN undo OR status = 'unknown'
                       ELSE false END
  RETURNING steps.fence, old.status AS prior, steps.tries, steps.generation, steps.external_id,
            steps.input, steps.item, CASE WHEN steps.expires_at IS NULL THEN false
                 ELSE steps.expires_at <= playalter_now() END AS expired,
            steps.undo INTO s;
  IF FOUND THEN
    RETURN QUERY SELECT 'claimed', s.fence, s.prior, s.tries, s.generation, s.external_id, s.input,
                        s.item, s.expired, s.undo, w.status = 'compensating', NULL::text[],
                        NULL, w.user_id, w.type, w.version;
    RETURN;
  END IF;
  SELECT steps.status, next_keys, join_key INTO s
    FROM steps WHERE workflow_id = p_workflow AND key = p_key;
  IF NOT FOUND OR s.status NOT IN ('succeeded', 'skipped') OR w.status <> 'running' THEN
    RETURN QUERY SELECT 'skip', NULL::uuid, NULL, 0, 0, NULL, NULL::jsonb, NULL::jsonb, false,
                        false, false, NULL::text[], NULL, NULL::uuid, NULL, 0;
    RETURN;
  END IF;
  won := win_publish_v1(p_workflow, coalesce(s.next_keys, ARRAY[s.join_key]), p_republish);
  RETURN QUERY SELECT 'done', NULL::uuid, NULL, 0, 0, NULL, NULL::jsonb, NULL::jsonb, false, false, false,
                      won, CASE WHEN s.join_key = ANY (won) THEN s.join_key END,
                      NULL::uuid, NULL, 0;
END $$;

-- Whoever publishes a step first wins its publish_after, so that a backlog cannot multiply itself.
CREATE FUNCTION win_publish_v1(p_workflow uuid, p_keys text[], p_republish double precision)
RETURNS text[] LANGUAGE sql AS $$
  WITH won AS (
    UPDATE steps SET publish_after = clock_timestamp() + seconds(p_republish)
     WHERE workflow_id = p_workflow AND key = ANY (p_keys)
       AND status IN ('pending', 'unknown') AND publish_after <= clock_timestamp()
    RETURNING key)
  SELECT coalesce(array_agg(key ORDER BY key), '{}') FROM won
$$;

CREATE FUNCTION renew_lease_v1(p_workflow uuid, p_key text, p_fence uuid, p_lease double precision)
RETURNS boolean LANGUAGE sql AS $$
  WITH renewed AS (
    UPDATE steps SET lease_until = least(clock_timestamp() + seconds(p_lease), deadline_at)
     WHERE workflow_id = p_workflow AND key = p_key AND fence = p_fence AND status = 'running'
    RETURNING 1)
  SELECT EXISTS (SELECT FROM renewed)
$$;

-- The exact request, before it leaves, and with it the step's input: whoever undoes the step needs
-- both. A generation's earlier record is returned as it stands.
-- Returns no row when the fence is no longer the holder's.
CREATE FUNCTION record_intent_v1(
  p_workflow uuid, p_key text, p_fence uuid, p_generation integer, p_ordinal integer,
  p_operation text, p_request json, p_idempotency_key text, p_input jsonb)
RETURNS TABLE (is_new boolean, operation text, request json, key text, first_sent_at timestamptz,
               age double precision, resolution text, response jsonb)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
  UPDATE steps SET input = coalesce(p_input, input)
   WHERE workflow_id = p_workflow AND steps.key = p_key AND fence = p_fence AND status = 'running';
  IF NOT FOUND THEN RETURN; END IF;
  RETURN QUERY
    INSERT INTO intents AS i (workflow_id, step_key, generation, ordinal, operation, request, key)
    VALUES (p_workflow, p_key, p_generation, p_ordinal, p_operation, p_request, p_idempotency_key)
    ON CONFLICT DO NOTHING
    RETURNING true, i.operation, i.request, i.key, i.first_sent_at, 0::double precision,
              i.resolution, i.response;
  IF FOUND THEN RETURN; END IF;
  -- Proven to have had no effect before: this is a first sending again, and open until it is known.
  RETURN QUERY
    UPDATE intents AS i SET resolution = NULL, response = NULL, first_sent_at = clock_timestamp()
     WHERE i.workflow_id = p_workflow AND i.step_key = p_key AND i.generation = p_generation
       AND i.ordinal = p_ordinal AND i.resolution IN ('refused', 'never')
    RETURNING true, i.operation, i.request, i.key, i.first_sent_at, 0::double precision,
              i.resolution, i.response;
  IF FOUND THEN RETURN; END IF;
  RETURN QUERY
    SELECT false, i.operation, i.request, i.key, i.first_sent_at,
           extract(epoch FROM clock_timestamp() - i.first_sent_at)::double precision,
           i.resolution, i.response
      FROM intents i WHERE i.workflow_id = p_workflow AND i.step_key = p_key
       AND i.generation = p_generation AND i.ordinal = p_ordinal;
END $$;

CREATE FUNCTION resolve_intent_v1(
  p_workflow uuid, p_key text, p_fence uuid, p_generation integer, p_ordinal integer,
  p_resolution text, p_response jsonb)
RETURNS boolean LANGUAGE sql AS $$
  WITH holder AS (
    SELECT 1 FROM steps WHERE workflow_id = p_workflow AND key = p_key
       AND fence = p_fence AND status = 'running' FOR NO KEY UPDATE),
  resolved AS (
    UPDATE intents SET resolution = p_resolution, response = p_response
     WHERE workflow_id = p_workflow AND step_key = p_key AND generation = p_generation
       AND ordinal = p_ordinal AND EXISTS (SELECT FROM holder)
    RETURNING 1)
  SELECT EXISTS (SELECT FROM resolved)
$$;
