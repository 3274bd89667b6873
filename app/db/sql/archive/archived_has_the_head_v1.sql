-- Trigger on archived: a row becomes `archived` only if the workflow has ended, if a bundle of its family
-- in a kept file is noted, and if it holds the head of the workflow's events, the number and the hash of
-- the newest one. As long as it is, the trigger on events lets them be
-- deleted. Rows are never deleted, an erased workflow stays erased, and a workflow is `erased` only
-- if it was archived.
CREATE OR REPLACE FUNCTION archived_has_the_head_v1() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  head record;
BEGIN
  IF TG_OP IN ('DELETE', 'TRUNCATE') THEN
    RAISE EXCEPTION 'rows of archived workflows are kept: % refused', TG_OP;
  END IF;
  IF TG_OP = 'UPDATE' AND OLD.state = 'erased' AND NEW.state <> 'erased'
     OR NEW.state = 'erased' AND (TG_OP = 'INSERT' OR OLD.state = 'restored')
     OR TG_OP = 'UPDATE' AND OLD.state <> 'restored'
        AND (NEW.head_seq, NEW.head_hash) <> (OLD.head_seq, OLD.head_hash) THEN
    RAISE EXCEPTION 'the record of an archived workflow cannot be changed so';
  END IF;
  IF NEW.state = 'archived' AND (TG_OP = 'INSERT' OR OLD.state <> 'archived') THEN
    SELECT seq, hash INTO head FROM events WHERE workflow_id = NEW.workflow_id
     ORDER BY seq DESC LIMIT 1;
    IF (head.seq, head.hash) IS DISTINCT FROM (NEW.head_seq, NEW.head_hash) THEN
      RAISE EXCEPTION 'event % is not the newest of the workflow to archive', NEW.head_seq;
    END IF;
    IF NOT EXISTS (SELECT FROM workflows
                    WHERE id = NEW.workflow_id AND completed_at IS NOT NULL)
       OR family_root_v1(NEW.workflow_id) IS DISTINCT FROM NEW.root_id
       OR NOT EXISTS (SELECT FROM archive_bundles AS b JOIN archive_volumes AS v ON v.id = b.volume_id
                       WHERE b.id = NEW.bundle_id AND b.root_id = NEW.root_id
                         AND b.state = 'archived' AND v.state = 'kept') THEN
      RAISE EXCEPTION 'workflow % has not ended, or no bundle is noted for it', NEW.workflow_id;
    END IF;
  END IF;
  RETURN NEW;
END $$;
