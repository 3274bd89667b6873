-- Trigger on workflows: gives the places of a workflow that has ended back, and tells its lane what it
-- has cost more than was counted at its admission.
CREATE OR REPLACE FUNCTION end_flow_v1() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  had double precision := (NEW.flow ->> 'cost')::double precision;
BEGIN
  PERFORM leave_flow_v1(NEW.id);
  IF NEW.flow ->> 'unit' IS NOT NULL AND NEW.started_at IS NOT NULL THEN
    INSERT INTO flow_costs (pool_id, lane_id, cost)
    SELECT pool_id, id, CASE NEW.flow ->> 'unit' WHEN 'micro_usd' THEN NEW.spent
             ELSE extract(epoch FROM NEW.completed_at - NEW.started_at) END - had
      FROM flow_lanes WHERE id = NEW.lane_id;
  END IF;
  RETURN NULL;
END $$;
