-- Stores what a step's output has of the event that its wait was given. The caller holds the workflow
-- row FOR NO KEY UPDATE, and has written the event into the wait.
CREATE OR REPLACE FUNCTION store_given_v1(
  p_workflow uuid, p_key text, p_external_id text, p_event uuid, p_payload jsonb)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO webhook_deliveries (platform, delivery_id, external_id, kind, payload, consumed_at)
  VALUES ('control', p_external_id, p_external_id, 'event', p_payload, clock_timestamp());
  PERFORM append_event_v1(p_workflow, 'StepWoken', p_key,
                          jsonb_build_object('external_id', p_external_id, 'event_id', p_event));
END $$;
