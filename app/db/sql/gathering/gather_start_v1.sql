-- Makes a start part of a workflow that is pending and waits for further starts of the same user,
-- version and key, or opens one. Called by accept_start_v1, whose parameters and verdicts these are.
--
-- p_gather: {key, period, timeout, keep, size, bytes, shell}. With `size` it is a batch, which starts
-- after `period` seconds or when it has `size` items or `bytes`. Otherwise it is a debounce: every
-- start puts it off to `period` seconds from now, but not beyond `timeout` seconds from the first.
-- keep: `all` (each input is an item, and the workflow's own input is `shell` until it starts), `last`
-- or `first`.
--
-- A gathering is open as long as it has a row and its workflow is pending and not due. A start that
-- comes while the workflow is begun or cancelled opens another one. The workflow's row is locked FOR
-- NO KEY UPDATE before the gathering is read the second time: who closes it holds that lock.
CREATE OR REPLACE FUNCTION gather_start_v1(
  p_id uuid, p_user uuid, p_type text, p_version integer, p_input jsonb, p_idempotency_key text,
  p_request_hash bytea, p_priority integer, p_budget bigint, p_artifacts uuid[], p_gather jsonb,
  p_flow jsonb)
RETURNS TABLE (verdict text, id uuid, starts_at timestamptz) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  most_items CONSTANT integer := 1000;
  most_bytes CONSTANT bigint := 1000000;
  how record;
  g start_gatherings;
  w record;
  at timestamptz;
  weight CONSTANT bigint := octet_length(p_input::text);
  is_collecting boolean;
  is_open boolean := false;
BEGIN
  SELECT * INTO how FROM jsonb_to_record(p_gather) AS h (key text, period double precision,
    timeout double precision, keep text, size integer, bytes bigint, shell jsonb);
  is_collecting := how.keep = 'all';
  PERFORM pg_advisory_xact_lock(
    hashtextextended(concat_ws(' ', p_user, p_type, p_version, how.key), 2));
  SELECT * INTO g FROM start_gatherings AS s
   WHERE s.user_id = p_user AND s.type = p_type AND s.version = p_version AND s.key = how.key;
  IF FOUND THEN
    SELECT status, starts_at INTO w FROM workflows AS of WHERE of.id = g.workflow_id
       FOR NO KEY UPDATE;
    SELECT * INTO g FROM start_gatherings AS s
     WHERE s.user_id = p_user AND s.type = p_type AND s.version = p_version AND s.key = how.key;
    is_open := FOUND AND w.status = 'pending' AND w.starts_at > playalter_now();
    IF is_open AND is_collecting AND (g.items >= most_items OR g.bytes + weight > most_bytes) THEN
      PERFORM end_gathering_v1(g.workflow_id, true);
      is_open := false;
    ELSIF NOT is_open THEN
      PERFORM end_gathering_v1(g.workflow_id, false);
    END IF;
  END IF;
  at := playalter_now();

  IF NOT is_open THEN
    verdict := 'opened';
    id := p_id;
    starts_at := at + seconds(how.period);
    PERFORM defer_workflow_v1(p_id, p_user, p_type, p_version,
      CASE WHEN is_collecting THEN how.shell ELSE p_input END, p_idempotency_key, p_request_hash,
      p_priority, p_budget, p_artifacts, starts_at, NULL, NULL,
      p_flow, p_is_checked => true);
    INSERT INTO start_gatherings (user_id, type, version, key, workflow_id, opened_at, items, bytes)
    VALUES (p_user, p_type, p_version, how.key, p_id, at, 1, weight);
  ELSE
    verdict := 'joined';
    id := g.workflow_id;
    starts_at := CASE WHEN how.size IS NULL
      THEN least(at + seconds(how.period), g.opened_at + seconds(how.timeout)) ELSE w.starts_at END;
    UPDATE start_gatherings AS s SET items = s.items + 1, bytes = s.bytes + weight
     WHERE s.user_id = p_user AND s.type = p_type AND s.version = p_version AND s.key = how.key;
    -- The reconciler finds a workflow that it looks at too early not due, and looks again later.
    UPDATE workflows AS of SET starts_at = gather_start_v1.starts_at,
           next_wake_at = least(of.next_wake_at, gather_start_v1.starts_at),
           input = CASE how.keep WHEN 'last' THEN p_input ELSE of.input END
     WHERE of.id = g.workflow_id;
    IF p_artifacts IS NOT NULL THEN
      PERFORM mention_artifacts_v1(g.workflow_id, p_user, p_artifacts);
    END IF;
    INSERT INTO start_handles (id, user_id, workflow_id, idempotency_key, request_hash)
    VALUES (p_id, p_user, g.workflow_id, p_idempotency_key, p_request_hash);
    PERFORM append_event_v1(g.workflow_id, 'StartJoined', NULL, jsonb_strip_nulls(
      jsonb_build_object('given', payload_hash(p_input), 'number', g.items + 1,
        'starts_at', utc_text(starts_at),
        'input', CASE how.keep WHEN 'last' THEN payload_hash(p_input) END)));
  END IF;
  IF is_collecting THEN
    INSERT INTO start_items (workflow_id, number, input)
    VALUES (id, CASE WHEN is_open THEN g.items + 1 ELSE 1 END, p_input);
    IF (CASE WHEN is_open THEN g.items + 1 ELSE 1 END) >= least(how.size, most_items)
       OR (CASE WHEN is_open THEN g.bytes + weight ELSE weight END) >= how.bytes THEN
      PERFORM end_gathering_v1(id, true);
      verdict := 'complete';
      starts_at := playalter_now();
    END IF;
  END IF;
  RETURN NEXT;
END $$;
