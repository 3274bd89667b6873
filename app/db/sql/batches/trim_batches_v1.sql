-- Deletes lines that were settled more than p_days days ago, and batches that ended so long ago and have
-- no line any more; at most p_most rows of each. Returns how many.
CREATE OR REPLACE FUNCTION trim_batches_v1(p_days double precision, p_most integer)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  since interval := make_interval(secs => p_days * 86400);
  deleted integer;
  total integer;
BEGIN
  DELETE FROM batch_lines WHERE id = ANY (ARRAY(
    SELECT l.id FROM batch_lines AS l LEFT JOIN batches AS b ON b.id = l.batch_id
     WHERE l.settled_at < clock_timestamp() - since AND (b.id IS NULL OR b.ended_at IS NOT NULL)
     LIMIT p_most FOR UPDATE OF l SKIP LOCKED));
  GET DIAGNOSTICS total = ROW_COUNT;
  DELETE FROM batches WHERE id = ANY (ARRAY(
    SELECT id FROM batches AS b WHERE b.ended_at < playalter_now() - since
       AND NOT EXISTS (SELECT FROM batch_lines WHERE batch_id = b.id)
     LIMIT p_most FOR UPDATE SKIP LOCKED));
  GET DIAGNOSTICS deleted = ROW_COUNT;
  RETURN total + deleted;
END $$;
