-- Starts a workflow over HTTP in one round trip, if nothing prevents that. Otherwise it writes
-- nothing and the verdict says why; the caller then decides with further queries.
--
-- p_key: the prefix of an API key of the user that must not be revoked; null if that was checked.
-- p_choice: the versions of the type among which the caller has chosen p_version, as one text. They
-- may have changed since then. The other parameters are those of start_workflow_v1.
--
-- verdicts:
--   revoked: the API key is not valid any more.
--   started, lined_up, started_apart: with the text of the new workflow's summary (see
--     start_workflow_v1).
--   known: a workflow with this idempotency key or this id exists; it may be archived. Returns its id, and for the key
--     the hash of its request.
--   changed: the versions have changed.
CREATE OR REPLACE FUNCTION submit_workflow_v1(
  p_key text, p_choice text, p_id uuid, p_user uuid, p_type text, p_version integer, p_input jsonb,
  p_idempotency_key text, p_request_hash bytea, p_timeout double precision, p_steps jsonb,
  p_republish double precision, p_priority integer, p_budget bigint, p_artifacts uuid[],
  p_asks boolean)
RETURNS TABLE (verdict text, id uuid, request_hash bytea, shown text)
LANGUAGE plpgsql
-- Each statement reads by an id or a key, so its plan is always the same. But if the statistics are
-- wrong when PostgreSQL plans one for all values, that plan seems dearer than those for single
-- values, and it plans each call anew from then on, which takes longer than the call's work.
SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
BEGIN
  IF p_key IS NOT NULL AND NOT EXISTS (SELECT FROM api_keys AS k
       WHERE k.prefix = p_key AND k.user_id = p_user AND k.revoked_at IS NULL)
  THEN
    verdict := 'revoked';
    RETURN NEXT;
    RETURN;
  END IF;
  IF p_choice IS DISTINCT FROM (
       SELECT string_agg(format('%s %s %s', version, active, weight), ',' ORDER BY version)
         FROM definitions WHERE name = p_type AND retired_at IS NULL AND (active OR weight > 0))
  THEN
    -- If the response to an earlier, identical request was lost, the workflow exists already.
    id := p_id;
    verdict := CASE WHEN EXISTS (SELECT FROM workflows AS w WHERE w.id = p_id)
      THEN 'known' ELSE 'changed' END;
    RETURN NEXT;
    RETURN;
  END IF;
  IF p_idempotency_key IS NOT NULL THEN
    PERFORM pg_advisory_xact_lock(idempotency_lock_v1(p_user, p_idempotency_key));
    SELECT known.id, known.request_hash INTO id, request_hash
      FROM known_start_v1(p_user, p_idempotency_key) AS known;
    IF FOUND THEN
      verdict := 'known';
      RETURN NEXT;
      RETURN;
    END IF;
  END IF;
  verdict := start_workflow_v1(p_id, p_user, p_type, p_version, p_input, p_idempotency_key,
    p_request_hash, p_timeout, p_steps, p_republish, p_priority, NULL, NULL, 0, p_budget,
    p_artifacts, p_asks, p_is_checked => true);
  RETURN QUERY SELECT verdict, NULL::uuid, NULL::bytea, of.shown::text
    FROM workflow_summary_v1(p_id, false) AS of;
END $$;
