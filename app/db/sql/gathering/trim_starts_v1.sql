-- Deletes what nobody needs any more, at most p_most rows of each kind: rates that are all back,
-- singletons, gatherings and items of workflows that have ended, and answers without an idempotency
-- key that are a day old. Returns how many rows.
CREATE OR REPLACE FUNCTION trim_starts_v1(p_most integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  deleted integer;
  total integer;
BEGIN
  DELETE FROM start_rates WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM start_rates WHERE tat < playalter_now() LIMIT p_most FOR UPDATE SKIP LOCKED))
     AND tat < playalter_now();
  GET DIAGNOSTICS total = ROW_COUNT;
  DELETE FROM singletons AS s USING (
    SELECT user_id, type, key, workflow_id FROM singletons AS o
     WHERE NOT EXISTS (SELECT FROM workflows AS w
                        WHERE w.id = o.workflow_id AND w.completed_at IS NULL)
     LIMIT p_most) AS old
   WHERE (s.user_id, s.type, s.key, s.workflow_id)
       = (old.user_id, old.type, old.key, old.workflow_id);
  GET DIAGNOSTICS deleted = ROW_COUNT;
  total := total + deleted;
  DELETE FROM start_gatherings AS g USING (
    SELECT workflow_id FROM start_gatherings AS o
     WHERE NOT EXISTS (SELECT FROM workflows AS w
                        WHERE w.id = o.workflow_id AND w.completed_at IS NULL)
     LIMIT p_most) AS old WHERE g.workflow_id = old.workflow_id;
  GET DIAGNOSTICS deleted = ROW_COUNT;
  total := total + deleted;
  DELETE FROM start_items AS i USING (
    SELECT workflow_id, number FROM start_items AS o
     WHERE NOT EXISTS (SELECT FROM workflows AS w WHERE w.id = o.workflow_id
        AND (w.completed_at IS NULL OR w.completed_at > clock_timestamp() - interval '1 day'))
     LIMIT p_most) AS old
   WHERE (i.workflow_id, i.number) = (old.workflow_id, old.number);
  GET DIAGNOSTICS deleted = ROW_COUNT;
  total := total + deleted;
  DELETE FROM start_handles WHERE id = ANY (ARRAY(
    SELECT id FROM start_handles
     WHERE idempotency_key IS NULL AND created_at < clock_timestamp() - interval '1 day'
     LIMIT p_most));
  GET DIAGNOSTICS deleted = ROW_COUNT;
  RETURN total + deleted;
END $$;
