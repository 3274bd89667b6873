-- Enables an endpoint, which then has no failures behind it. Returns whether it was disabled. The
-- caller has first let miss_webhook_sendings_v1 end what waited for it, so that only a replay sends
-- that.
CREATE OR REPLACE FUNCTION enable_webhook_endpoint_v1(p_endpoint uuid) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
  UPDATE webhook_endpoints
     SET disabled_at = NULL, disabled_reason = NULL, failures = 0, failing_since = NULL,
         rest_until = NULL, rests = 0
   WHERE id = p_endpoint AND disabled_at IS NOT NULL;
  RETURN FOUND;
END $$;
