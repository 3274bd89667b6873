-- Lets up to p_most sendings to an endpoint be sent again that have failed or were missed, or, with
-- p_delivered, that were delivered, and that were made from p_since to p_until. They keep the ids of
-- their messages, and have all attempts before them. Returns their number; the caller calls again
-- while it is p_most.
CREATE OR REPLACE FUNCTION replay_webhook_sendings_v1(
  p_endpoint uuid, p_delivered boolean, p_since timestamptz, p_until timestamptz, p_most integer)
RETURNS integer LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
  chosen uuid[];
BEGIN
  IF p_delivered THEN
    chosen := ARRAY(
      SELECT message_id FROM webhook_sendings
       WHERE endpoint_id = p_endpoint AND status = 'delivered' AND turn > 0
         AND created_at >= p_since AND created_at < p_until
       ORDER BY created_at LIMIT p_most FOR UPDATE SKIP LOCKED);
  ELSE
    chosen := ARRAY(
      SELECT message_id FROM webhook_sendings
       WHERE endpoint_id = p_endpoint AND status IN ('failed', 'missed') AND turn > 0
         AND created_at >= p_since AND created_at < p_until
       ORDER BY created_at LIMIT p_most FOR UPDATE SKIP LOCKED);
  END IF;
  UPDATE webhook_sendings
     SET status = 'pending', turn = 2, attempts = 0, due_at = playalter_now()
   WHERE message_id = ANY (chosen) AND endpoint_id = p_endpoint;
  RETURN cardinality(chosen);
END $$;
