-- Starts the workflow of a time of a schedule, which the caller has prepared. Returns the verdict of
-- start_workflow_v1 and the workflow, or `known` if a workflow with this idempotency key exists, or
-- what accept_start_v1 says instead of `accepted`. The caller holds the row of the schedule, and only
-- who holds it uses such keys. p_start: what the caller has prepared, see fire_schedule_v1.
CREATE OR REPLACE FUNCTION start_run_v1(
  p_user uuid, p_type text, p_priority integer, p_republish double precision, p_start jsonb)
RETURNS TABLE (verdict text, id uuid) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  w record;
  refused text;
BEGIN
  SELECT * INTO w FROM jsonb_to_record(p_start) AS s (prepared_id uuid, version integer, input text,
    key text, hash text, timeout double precision, steps text, budget bigint, artifacts uuid[],
    asks boolean, flow text, wanted text);
  id := w.prepared_id;
  IF EXISTS (SELECT FROM known_start_v1(p_user, w.key)) THEN
    verdict := 'known';
    RETURN NEXT;
    RETURN;
  END IF;
  IF w.wanted IS NOT NULL THEN
    -- A block of its own: what was taken for a start whose lane is full is given back.
    BEGIN
      SELECT a.verdict, a.id INTO verdict, id
        FROM accept_start_v1(w.prepared_id, p_user, p_type, w.version, w.input::jsonb, w.key,
          decode(w.hash, 'hex'), p_priority, w.budget, w.artifacts, w.wanted::jsonb,
          w.flow::jsonb) AS a;
      IF verdict = 'accepted' THEN
        verdict := unless_full_v1(start_workflow_v1(w.prepared_id, p_user, p_type, w.version,
          w.input::jsonb, w.key, decode(w.hash, 'hex'), w.timeout, w.steps::jsonb, p_republish,
          p_priority, NULL, NULL, 0, w.budget, w.artifacts, w.asks, w.flow::jsonb,
          p_is_checked => true));
      END IF;
    EXCEPTION WHEN check_violation THEN
      GET STACKED DIAGNOSTICS refused = CONSTRAINT_NAME;
      IF refused <> 'flow_lane_is_full' THEN RAISE; END IF;
      verdict := 'full';
    END;
    RETURN NEXT;
    RETURN;
  END IF;
  verdict := start_workflow_v1(w.prepared_id, p_user, p_type, w.version, w.input::jsonb, w.key,
    decode(w.hash, 'hex'), w.timeout, w.steps::jsonb, p_republish, p_priority, NULL, NULL, 0, w.budget,
    w.artifacts, w.asks, w.flow::jsonb, p_is_checked => true);
  RETURN NEXT;
END $$;
