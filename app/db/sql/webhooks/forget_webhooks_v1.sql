-- Deletes up to p_most attempts, up to p_most sendings and up to p_most messages that are older than
-- p_seconds. Returns how many rows it has deleted; the caller calls again until it is 0. The ids are
-- made in the order of time, so the oldest rows are the first of each table.
CREATE OR REPLACE FUNCTION forget_webhooks_v1(p_seconds double precision, p_most integer)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  since timestamptz := playalter_now() - seconds(p_seconds);
  deleted integer;
  total integer := 0;
BEGIN
  DELETE FROM webhook_attempts WHERE created_at < since
     AND id IN (SELECT id FROM webhook_attempts ORDER BY id LIMIT p_most);
  GET DIAGNOSTICS deleted = ROW_COUNT;
  total := total + deleted;
  DELETE FROM webhook_sendings WHERE created_at < since
     AND (message_id, endpoint_id) IN (
       SELECT message_id, endpoint_id FROM webhook_sendings
        ORDER BY message_id, endpoint_id LIMIT p_most);
  GET DIAGNOSTICS deleted = ROW_COUNT;
  total := total + deleted;
  DELETE FROM webhook_messages WHERE created_at < since
     AND id IN (SELECT id FROM webhook_messages ORDER BY id LIMIT p_most);
  GET DIAGNOSTICS deleted = ROW_COUNT;
  RETURN total + deleted;
END $$;
