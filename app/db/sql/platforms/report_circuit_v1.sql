-- Records that a circuit has opened or closed: an operation of a platform is no longer called, or is
-- called again. A change that is older than the last one is passed over, because the processes that
-- saw them may report them in any order.
--
--   p_state: 'open' or 'closed'. p_reason: for people. p_until: when an open circuit lets a call
--     through. p_at: when it changed, by the clock that the circuit goes by.
--
-- An open circuit marks its platform, until the next probe that succeeds or until the last of them closes.
CREATE OR REPLACE FUNCTION report_circuit_v1(
  p_platform text, p_operation text, p_state text, p_reason text, p_until timestamptz,
  p_at timestamptz)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  is_named text := p_operation || ' is not called: ';
  former text;
  other text;
BEGIN
  SELECT reason INTO former FROM platform_circuits
   WHERE platform = p_platform AND operation = p_operation FOR UPDATE;
  INSERT INTO platform_circuits AS c (platform, operation, state, reason, until, changed_at)
  VALUES (p_platform, p_operation, p_state, p_reason, p_until, p_at)
  ON CONFLICT (platform, operation) DO UPDATE
     SET state = excluded.state, reason = excluded.reason, until = excluded.until,
         changed_at = excluded.changed_at
   WHERE c.changed_at <= excluded.changed_at;
  IF NOT FOUND THEN RETURN; END IF;
  IF p_state = 'open' THEN
    PERFORM report_platform_v1(p_platform, is_named || p_reason);
  ELSE
    SELECT operation || ' is not called: ' || reason INTO other FROM platform_circuits
     WHERE platform = p_platform AND state = 'open' ORDER BY changed_at DESC LIMIT 1;
    UPDATE platform_health SET is_ok = other IS NULL, error = other
     WHERE platform = p_platform AND error = is_named || former;
  END IF;
END $$;
