-- Quick siblings that one message carries: claimed by one statement, recorded in one transaction,
-- with an event for each. Locks and rules are those of claim_step and finish_step; whatever is not
-- plain goes through these.

-- A row for each step that can be claimed. Where `is_claimed` is false it is not plain (somebody asked
-- to skip it, it was tried before or waits for a time): claim_step takes it. No row: nothing to run.
CREATE FUNCTION claim_siblings_v1(
  p_workflow uuid, p_keys text[], p_lease double precision, p_attempt double precision)
RETURNS TABLE (key text, is_claimed boolean, fence uuid, tries integer, generation integer, input jsonb,
               item jsonb, user_id uuid, type text, version integer)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  w record;
BEGIN
  -- See claim_step_v2.
  PERFORM set_config('synchronous_commit', 'off', true);
  SELECT status, paused_at, user_id, type, version, spent <= budget AS is_within INTO w
    FROM workflows WHERE id = p_workflow FOR KEY SHARE;
  IF NOT FOUND OR w.status <> 'running' OR w.paused_at IS NOT NULL
     OR NOT coalesce(w.is_within, true) THEN
    RETURN;
  END IF;
  RETURN QUERY
  WITH free AS MATERIALIZED (
    -- In one order, and none that somebody else has just now: no deadlock, no wait.
    SELECT s.key FROM steps AS s
     WHERE s.workflow_id = p_workflow AND s.key = ANY (p_keys) AND s.status = 'pending'
     ORDER BY s.key FOR NO KEY UPDATE SKIP LOCKED),
  claimed AS (
    UPDATE steps SET
        status = 'running', fence = gen_random_uuid(), claims = claims + 1,
        lease_until = clock_timestamp() + seconds(least(p_lease, p_attempt)),
        deadline_at = clock_timestamp() + seconds(p_attempt),
        started_at = coalesce(started_at, clock_timestamp())
     WHERE workflow_id = p_workflow AND steps.key IN (SELECT free.key FROM free)
       AND publish_after IS NOT NULL AND status = 'pending' AND wake_at IS NULL AND external_id IS NULL AND expires_at IS NULL
       AND NOT undo AND NOT skip_requested
    RETURNING steps.key, steps.fence, steps.tries, steps.generation, steps.input, steps.item)
  SELECT c.key, true, c.fence, c.tries, c.generation, c.input, c.item, w.user_id, w.type, w.version
    FROM claimed AS c
  UNION ALL
  SELECT s.key, false, NULL, 0, 0, NULL, NULL, NULL, NULL, 0
    FROM steps AS s
   WHERE s.workflow_id = p_workflow AND s.key = ANY (p_keys) AND s.publish_after IS NOT NULL
     AND (s.status = 'unknown' OR s.status = 'pending' AND (s.wake_at IS NOT NULL
          OR s.external_id IS NOT NULL OR s.expires_at IS NOT NULL OR s.skip_requested));
END $$;

-- Several events of one workflow; each of p_events is {type, step, data}. See append_event_v1.
CREATE FUNCTION append_events_v1(p_workflow uuid, p_events jsonb[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  last_seq integer;
  last_hash bytea;
  at bigint := (extract(epoch FROM playalter_now()) * 1000000)::bigint;
  event jsonb;
  lines text[] := '{}';
  hashes bytea[] := '{}';
  line text;
BEGIN
  SELECT seq, hash INTO last_seq, last_hash FROM events
   WHERE workflow_id = p_workflow ORDER BY seq DESC LIMIT 1;
  IF NOT FOUND THEN
    last_seq := 0;
    last_hash := sha256(uuid_send(p_workflow));
  END IF;
  FOREACH event IN ARRAY p_events LOOP
    line := jsonb_strip_nulls(
      event || jsonb_build_object('seq', last_seq + cardinality(lines) + 1, 'at', at))::text;
    last_hash := sha256(last_hash || convert_to(line, 'UTF8'));
    lines := lines || line;
    hashes := hashes || last_hash;
  END LOOP;
  INSERT INTO events (workflow_id, seq, body, hash)
  SELECT p_workflow, last_seq + n, body, hash
    FROM unnest(lines, hashes) WITH ORDINALITY AS made (body, hash, n);
END $$;

-- p_done: [{key, fence, input, output}], parts of one join that have succeeded and cost nothing.
-- verdicts: fenced (none was recorded) | released | singly (the workflow is stopping or paused: record
-- each with finish_step). `recorded`: the keys that were, whose fences held.
CREATE FUNCTION finish_siblings_v1(p_workflow uuid, p_done jsonb, p_republish double precision)
RETURNS TABLE (verdict text, released text[], joined text, recorded text[])
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  w record;
  joining text;
  keys text[];
  lines jsonb[];
  ready text[];
  is_joined boolean;
BEGIN
  SELECT status, paused_at INTO w FROM workflows WHERE id = p_workflow FOR NO KEY UPDATE;
  IF w.status <> 'running' OR w.paused_at IS NOT NULL THEN
    RETURN QUERY SELECT 'singly', NULL::text[], NULL, NULL::text[];
    RETURN;
  END IF;
  SELECT join_key INTO joining FROM steps
   WHERE workflow_id = p_workflow AND key = p_done -> 0 ->> 'key';
  WITH given AS (
    SELECT * FROM ROWS FROM (
      jsonb_to_recordset(p_done) AS (key text, fence uuid, input jsonb, output jsonb))
      WITH ORDINALITY AS d (key, fence, input, output, n)),
  done AS (
    UPDATE steps AS s SET status = 'succeeded', output = given.output,
           input = coalesce(given.input, s.input), error = NULL, crashes = 0, lease_until = NULL,
           deadline_at = NULL, finished_at = clock_timestamp()
      FROM given
     WHERE s.workflow_id = p_workflow AND s.key = given.key AND s.fence = given.fence
       AND s.status = 'running' AND NOT s.undo AND s.join_key = joining AND s.next_keys IS NULL
    RETURNING s.key, s.output, s.cost, s.tries, given.n)
  SELECT array_agg(key ORDER BY n), array_agg(jsonb_build_object(
           'type', 'StepSucceeded', 'step', key, 'data', jsonb_build_object(
             'output', payload_hash(output), 'cost', nullif(cost, 0), 'tries', nullif(tries, 0)))
           ORDER BY n)
    INTO keys, lines FROM done;
  IF keys IS NULL THEN
    RETURN QUERY SELECT 'fenced', NULL::text[], NULL, NULL::text[];
    RETURN;
  END IF;
  PERFORM append_events_v1(p_workflow, lines);
  SELECT f.ready, f.is_joined INTO ready, is_joined
    FROM settle_parts_v1(p_workflow, joining, cardinality(keys)) AS f;
  IF cardinality(ready) > 0 THEN
    UPDATE steps SET publish_after = clock_timestamp() + seconds(p_republish)
     WHERE workflow_id = p_workflow AND key = ANY (ready) AND status = 'pending';
  END IF;
  PERFORM wake_by_v1(p_workflow, playalter_now() + seconds(p_republish));
  RETURN QUERY SELECT 'released', ready, CASE WHEN is_joined THEN joining END, keys;
END $$;

-- The leases of a process, several at once. A row that is being written just now is passed over: it is
-- asked for again at the next tick. Nothing is lost with a renewal that a crash of the server undoes.
CREATE FUNCTION renew_leases_v1(
  p_workflows uuid[], p_keys text[], p_fences uuid[], p_lease double precision)
RETURNS TABLE (fence uuid) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
  PERFORM set_config('synchronous_commit', 'off', true);
  RETURN QUERY
  WITH free AS MATERIALIZED (
    SELECT s.workflow_id, s.key
      FROM unnest(p_workflows, p_keys, p_fences) AS asked (workflow_id, key, fence)
      JOIN steps AS s USING (workflow_id, key)
     WHERE s.fence = asked.fence AND s.status = 'running'
     ORDER BY s.workflow_id, s.key FOR NO KEY UPDATE OF s SKIP LOCKED)
  UPDATE steps SET lease_until = least(clock_timestamp() + seconds(p_lease), deadline_at)
    FROM free WHERE steps.workflow_id = free.workflow_id AND steps.key = free.key
  RETURNING steps.fence;
END $$;
