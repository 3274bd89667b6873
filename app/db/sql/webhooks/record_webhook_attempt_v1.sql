-- Records an attempt of a sending whose fence is current, and what follows from it.
--
-- p_verdict: delivered; retry (in p_wait seconds); failed (no further attempt); gone (410: the
-- endpoint is disabled). p_rest: the endpoint asks for a pause of so many seconds; null if it does
-- not. p_failing: an endpoint is disabled if it has only failed for so many seconds.
--
-- After its third failure in a row, an endpoint rests: 5 seconds at first, 10 minutes in the end.
-- Attempts that were in progress when a rest began, and fail too, do not prolong it. When it answers again, what failed meanwhile is due at once. A ping counts no failure. If a sending
-- about a workflow fails for good, the user's other endpoints are told.
--
-- results:
--   fenced: the lease had ended, or the endpoint is not there any more. Nothing was recorded.
--   recorded
--   disabled: the endpoint was disabled (see disable_webhook_endpoint_v1).
CREATE OR REPLACE FUNCTION record_webhook_attempt_v1(
  p_endpoint uuid, p_message uuid, p_fence uuid, p_verdict text, p_wait double precision,
  p_rest double precision, p_status integer, p_error text, p_milliseconds integer, p_reply text,
  p_failing double precision)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  e record;
  s record;
  rest double precision;
  now timestamptz := playalter_now();
BEGIN
  SELECT user_id, failures, failing_since, rest_until, rests, disabled_at INTO e FROM webhook_endpoints
   WHERE id = p_endpoint FOR NO KEY UPDATE;
  IF NOT FOUND THEN RETURN 'fenced'; END IF;
  UPDATE webhook_sendings
     SET status = CASE WHEN p_verdict = 'delivered' THEN 'delivered'
                       WHEN p_verdict <> 'retry' OR turn = 0 THEN 'failed'
                       WHEN e.disabled_at IS NULL THEN 'pending' ELSE 'missed' END,
         turn = CASE turn WHEN 0 THEN 0 ELSE 2 END, attempts = attempts + 1, tried_at = now,
         due_at = now + seconds(coalesce(p_wait, 0)), fence = NULL, lease_until = NULL
   WHERE message_id = p_message AND endpoint_id = p_endpoint AND fence = p_fence
     AND status = 'sending'
  RETURNING attempts, turn, status INTO s;
  IF NOT FOUND THEN RETURN 'fenced'; END IF;
  INSERT INTO webhook_attempts (endpoint_id, message_id, attempt, status, error, milliseconds, reply)
  VALUES (p_endpoint, p_message, s.attempts, p_status, p_error, p_milliseconds, p_reply);
  IF p_verdict = 'delivered' THEN
    -- While the endpoint rests, only a ping begins: any other success was in progress before.
    UPDATE webhook_endpoints SET failures = 0, failing_since = NULL, rests = 0,
           rest_until = CASE WHEN s.turn > 0 THEN rest_until END,
           pace = coalesce(pace * 0.7 + p_milliseconds * 0.3, p_milliseconds)
     WHERE id = p_endpoint;
    IF e.failures >= 3 THEN
      UPDATE webhook_sendings SET due_at = now
       WHERE endpoint_id = p_endpoint AND status = 'pending' AND turn = 2
         AND tried_at >= e.failing_since;
    END IF;
    RETURN 'recorded';
  END IF;
  IF s.turn = 0 THEN RETURN 'recorded'; END IF;
  IF e.failures >= 2 AND coalesce(e.rest_until <= now, true) THEN
    rest := (CASE e.rests WHEN 0 THEN 5 WHEN 1 THEN 30 WHEN 2 THEN 120 WHEN 3 THEN 300
             ELSE 600 END) * (0.9 + 0.2 * random());
  END IF;
  UPDATE webhook_endpoints
     SET failures = failures + 1, failing_since = coalesce(failing_since, now),
         rest_until = greatest(rest_until, now + seconds(rest), now + seconds(p_rest)),
         rests = rests + CASE WHEN rest IS NULL THEN 0 ELSE 1 END,
         pace = coalesce(pace * 0.7 + p_milliseconds * 0.3, p_milliseconds)
   WHERE id = p_endpoint;
  IF s.status = 'failed' AND p_verdict = 'failed' THEN
    PERFORM tell_endpoints_v1(e.user_id, 'webhook.message_failed', NULL, NULL, jsonb_build_object(
      'endpoint_id', p_endpoint, 'message_id', 'msg_' || replace(id::text, '-', ''),
      'message_type', type, 'workflow_id', workflow_id), false, p_endpoint)
       FROM webhook_messages WHERE id = p_message AND workflow_id IS NOT NULL;
  END IF;
  IF p_verdict = 'gone' THEN
    PERFORM disable_webhook_endpoint_v1(p_endpoint, 'gone');
    RETURN 'disabled';
  END IF;
  IF e.failures >= 4 AND e.failing_since <= now - seconds(p_failing) THEN
    PERFORM disable_webhook_endpoint_v1(p_endpoint, 'failing');
    RETURN 'disabled';
  END IF;
  RETURN 'recorded';
END $$;
