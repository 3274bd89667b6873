-- Claims for a step an effect at a platform that a lost call of the step may have made. The first
-- step that claims an effect has it, so that two lost calls never take the same one for theirs.
-- Returns whether the step has it.
CREATE OR REPLACE FUNCTION claim_effect_v1(
  p_workflow uuid, p_key text, p_platform text, p_object text, OUT is_own boolean)
LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO platform_objects (platform, object_id, workflow_id, step_key)
  VALUES (p_platform, p_object, p_workflow, p_key) ON CONFLICT DO NOTHING;
  SELECT (workflow_id, step_key) = (p_workflow, p_key) INTO STRICT is_own FROM platform_objects
   WHERE platform = p_platform AND object_id = p_object;
END $$;
