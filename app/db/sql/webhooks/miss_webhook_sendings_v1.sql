-- Ends up to p_most sendings that wait for a disabled endpoint, or for one that does not exist any
-- more: they are missed. Returns their number; the caller calls again while it is p_most.
CREATE OR REPLACE FUNCTION miss_webhook_sendings_v1(p_endpoint uuid, p_most integer)
RETURNS integer LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
  ended integer;
BEGIN
  UPDATE webhook_sendings AS s SET status = 'missed', fence = NULL, lease_until = NULL
    FROM (SELECT message_id FROM webhook_sendings
           WHERE endpoint_id = p_endpoint AND status = 'pending' AND turn > 0
             AND NOT EXISTS (SELECT FROM webhook_endpoints
                              WHERE id = p_endpoint AND disabled_at IS NULL)
           LIMIT p_most FOR UPDATE SKIP LOCKED) AS waiting
   WHERE s.message_id = waiting.message_id AND s.endpoint_id = p_endpoint;
  GET DIAGNOSTICS ended = ROW_COUNT;
  RETURN ended;
END $$;
