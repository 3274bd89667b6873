-- Claims an object that exists at a platform for a workflow, before a step of it changes the
-- object. p_maker: the workflow that the object's own mark names; null if the object has no mark of
-- ours, and then the first workflow that claims the object has it. A workflow that has ended, and
-- whose calls have changed nothing, has the object no more. Returns the workflow that has
-- the object, and whether the claiming workflow is that one or related to it.
CREATE OR REPLACE FUNCTION claim_object_v1(
  p_workflow uuid, p_key text, p_platform text, p_object text, p_maker uuid)
RETURNS TABLE (holder uuid, is_related boolean) LANGUAGE plpgsql AS $$
BEGIN
  holder := p_maker;
  IF holder IS NULL THEN
    INSERT INTO platform_objects (platform, object_id, workflow_id, step_key)
    VALUES (p_platform, p_object, p_workflow, p_key) ON CONFLICT DO NOTHING;
    UPDATE platform_objects o
       SET workflow_id = p_workflow, step_key = p_key, claimed_at = clock_timestamp()
     WHERE platform = p_platform AND object_id = p_object
       AND EXISTS (SELECT FROM workflows w
                    WHERE w.id = o.workflow_id AND w.completed_at IS NOT NULL)
       AND NOT EXISTS (SELECT FROM intents i
                        WHERE i.workflow_id = o.workflow_id AND i.step_key = o.step_key
                          AND (i.resolution IS NULL OR i.resolution = 'accepted'));
    SELECT workflow_id INTO holder FROM platform_objects
     WHERE platform = p_platform AND object_id = p_object;
  END IF;
  is_related := holder = p_workflow
    OR coalesce(lineage_root_v1(holder) = lineage_root_v1(p_workflow), false);
  RETURN NEXT;
END $$;
