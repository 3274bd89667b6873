-- Starts the workflow of a time of a schedule, which the caller has prepared, and returns the verdict
-- of start_workflow_v1. Returns `known` if a workflow with this idempotency key exists. The caller
-- holds the row of the schedule, and only who holds it uses such keys. p_start: what the caller has
-- prepared, see fire_schedule_v1.
CREATE OR REPLACE FUNCTION start_run_v1(
  p_user uuid, p_type text, p_priority integer, p_republish double precision, p_start jsonb)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  w record;
BEGIN
  SELECT * INTO w FROM jsonb_to_record(p_start) AS s (prepared_id uuid, version integer, input text,
    key text, hash text, timeout double precision, steps text, budget bigint, artifacts uuid[],
    asks boolean, flow text);
  IF EXISTS (SELECT FROM known_start_v1(p_user, w.key)) THEN
    RETURN 'known';
  END IF;
  RETURN start_workflow_v1(w.prepared_id, p_user, p_type, w.version, w.input::jsonb, w.key,
    decode(w.hash, 'hex'), w.timeout, w.steps::jsonb, p_republish, p_priority, NULL, NULL, 0, w.budget,
    w.artifacts, w.asks, w.flow::jsonb);
END $$;
