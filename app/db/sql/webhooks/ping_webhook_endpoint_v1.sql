-- Writes a ping: a message that tests one endpoint. It is sent at once, also if the endpoint is
-- disabled or rests. Returns the id of the message.
CREATE OR REPLACE FUNCTION ping_webhook_endpoint_v1(p_endpoint uuid) RETURNS uuid
LANGUAGE sql AS $$
  WITH told AS (
    INSERT INTO webhook_messages (organisation_id, user_id, type, data)
    SELECT organisation_id, user_id, 'webhook.ping', jsonb_build_object('endpoint_id', id)
      FROM webhook_endpoints WHERE id = p_endpoint
    RETURNING id, created_at)
  INSERT INTO webhook_sendings (message_id, endpoint_id, created_at, status, turn, due_at)
  SELECT id, p_endpoint, created_at, 'pending', 0, created_at FROM told RETURNING message_id
$$;
