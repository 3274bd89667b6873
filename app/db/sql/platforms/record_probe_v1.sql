-- Records what a probe of a platform has found. p_error: why it failed, or null. p_milliseconds: how
-- long it took.
--
-- A probe reads, and so does not see that an account may not be charged or has no credit left. Then
-- the platform stays marked while steps are held because of it. The steps of a paused workflow try
-- nothing, and so say nothing of now.
CREATE OR REPLACE FUNCTION record_probe_v1(p_platform text, p_error text, p_milliseconds integer)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  is_held boolean := EXISTS (
    SELECT FROM steps s JOIN workflows w ON w.id = s.workflow_id
     WHERE s.held_since IS NOT NULL AND s.status IN ('pending', 'running')
       AND s.error_code IN ('account_exhausted', 'account_restricted')
       AND queue_of_v1(s.action) = p_platform
       AND w.status IN ('running', 'compensating') AND w.paused_at IS NULL);
BEGIN
  INSERT INTO platform_health AS h (platform, is_ok, error, response_time)
  VALUES (p_platform, p_error IS NULL, p_error, p_milliseconds)
  ON CONFLICT (platform) DO UPDATE
     SET is_ok = excluded.is_ok AND (h.is_ok OR NOT is_held),
         error = CASE WHEN is_held THEN coalesce(excluded.error, h.error) ELSE excluded.error END,
         response_time = excluded.response_time, checked_at = clock_timestamp();
END $$;
