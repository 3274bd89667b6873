-- Holds the family of a workflow, live or archived: until the hold is released, it is neither archived
-- nor erased. A family has at most one open hold. Locks the row of the root, if it is there, and its
-- bundles, so that an archive or an erasure that has begun is over when this returns.
--
-- verdicts:
--   held
--   known: it is held already; nothing was done.
--   erased: its bundle is gone.
--   absent: there is no such workflow.
CREATE OR REPLACE FUNCTION hold_family_v1(p_workflow uuid, p_by text, p_reason text)
RETURNS TABLE (verdict text, root uuid) LANGUAGE plpgsql AS $$
DECLARE
  home uuid;
BEGIN
  root := family_root_v1(p_workflow);
  PERFORM FROM workflows WHERE id = root FOR NO KEY UPDATE;
  PERFORM FROM archive_bundles WHERE root_id = root ORDER BY id FOR UPDATE;
  SELECT w.organisation_id INTO home FROM workflows AS w WHERE w.id = root;
  IF NOT FOUND THEN
    SELECT a.organisation_id INTO home FROM archived AS a
     WHERE a.workflow_id = root AND a.state = 'archived';
  END IF;
  IF home IS NULL THEN
    verdict := CASE WHEN EXISTS (SELECT FROM archived WHERE workflow_id = root)
                    THEN 'erased' ELSE 'absent' END;
    RETURN NEXT;
    RETURN;
  END IF;
  INSERT INTO archive_holds (organisation_id, root_id, reason, held_by)
  VALUES (home, root, p_reason, p_by) ON CONFLICT DO NOTHING;
  verdict := CASE WHEN FOUND THEN 'held' ELSE 'known' END;
  RETURN NEXT;
END $$;
