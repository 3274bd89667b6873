-- Records that a platform refused a call because of our credential or account, so that everybody
-- who looks at the platforms sees it at once. The next probe that succeeds ends it.
-- checked_at stays the time of the last probe.
CREATE OR REPLACE FUNCTION report_platform_v1(p_platform text, p_error text) RETURNS void
LANGUAGE sql AS $$
  INSERT INTO platform_health AS h (platform, is_ok, error, response_time)
  VALUES (p_platform, false, p_error, 0)
  ON CONFLICT (platform) DO UPDATE
     SET is_ok = false, error = excluded.error
   WHERE h.is_ok OR h.error IS DISTINCT FROM excluded.error
$$;
