-- Claims an object at a platform for the organisation of a workflow, before a step of it makes or
-- changes the object. The first organisation that claims an object has it for ever: whether some
-- call about it took effect is known only to the platform. Returns whether the workflow's
-- organisation has it.
CREATE OR REPLACE FUNCTION claim_for_organisation_v1(
  p_workflow uuid, p_key text, p_platform text, p_object text, OUT is_own boolean)
LANGUAGE plpgsql AS $$
DECLARE
  own uuid;
BEGIN
  SELECT organisation_id INTO STRICT own FROM workflows WHERE id = p_workflow;
  INSERT INTO platform_objects (platform, object_id, workflow_id, step_key, organisation_id)
  VALUES (p_platform, p_object, p_workflow, p_key, own) ON CONFLICT DO NOTHING;
  SELECT organisation_id IS NOT DISTINCT FROM own INTO STRICT is_own FROM platform_objects
   WHERE platform = p_platform AND object_id = p_object;
END $$;
