-- Disables an endpoint for a reason: asked (by its user), failing (for days) or gone (it has answered
-- 410). The user's other endpoints are told, unless it was asked for. Returns false if there is no
-- such endpoint, or if it is disabled already. The caller then lets miss_webhook_sendings_v1 end what
-- waits for the endpoint.
CREATE OR REPLACE FUNCTION disable_webhook_endpoint_v1(p_endpoint uuid, p_reason text)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  owner uuid;
BEGIN
  UPDATE webhook_endpoints SET disabled_at = playalter_now(), disabled_reason = p_reason
   WHERE id = p_endpoint AND disabled_at IS NULL RETURNING user_id INTO owner;
  IF NOT FOUND THEN RETURN false; END IF;
  IF p_reason <> 'asked' THEN
    PERFORM tell_endpoints_v1(owner, 'webhook.disabled', NULL, NULL,
      jsonb_build_object('endpoint_id', p_endpoint, 'reason', p_reason), false, p_endpoint);
  END IF;
  RETURN true;
END $$;
