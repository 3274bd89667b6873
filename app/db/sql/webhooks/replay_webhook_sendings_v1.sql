-- Lets up to p_most sendings to an endpoint be sent again that have one of p_statuses and were made
-- from p_since to p_until, or only the one of p_message. They keep the ids of their messages, and
-- have all attempts before them. Returns their number; the caller calls again while it is p_most.
CREATE OR REPLACE FUNCTION replay_webhook_sendings_v1(
  p_endpoint uuid, p_statuses text[], p_since timestamptz, p_until timestamptz, p_message uuid,
  p_most integer)
RETURNS integer LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
  chosen integer;
BEGIN
  UPDATE webhook_sendings AS s
     SET status = 'pending', turn = 2, attempts = 0, due_at = playalter_now()
    FROM (SELECT message_id FROM webhook_sendings
           WHERE endpoint_id = p_endpoint AND status = ANY (p_statuses) AND turn > 0
             AND (p_message IS NULL OR message_id = p_message)
             AND created_at >= p_since AND created_at < p_until
           ORDER BY created_at LIMIT p_most FOR UPDATE SKIP LOCKED) AS found
   WHERE s.message_id = found.message_id AND s.endpoint_id = p_endpoint;
  GET DIAGNOSTICS chosen = ROW_COUNT;
  RETURN chosen;
END $$;
