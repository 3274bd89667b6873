-- What becomes of a start that may not begin, because a workflow of its schedule runs: `buffered` if it
-- waits, `skipped` or `dropped`, and the reason.
--
--   p_policy, p_kind: of the start. p_waits: it waits already
--   p_is_own_running: a workflow runs that is not one of a backfill. If only one of a backfill runs, a
--     regular or manual start waits instead of being skipped, if no other of them waits
--   p_waiting: how many starts wait. p_kept: how many of them before this one, of backfills if it is
--     one of a backfill, else others
CREATE OR REPLACE FUNCTION wait_or_skip_v1(
  p_policy text, p_kind text, p_waits boolean, p_is_own_running boolean, p_waiting integer,
  p_kept integer, OUT outcome text, OUT reason text)
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
  most CONSTANT integer := 1000;
BEGIN
  IF p_policy = 'cancel_other' THEN
    outcome := 'buffered';
  ELSIF p_policy = 'buffer_all' THEN
    outcome := CASE WHEN p_waits OR p_waiting < most THEN 'buffered' ELSE 'dropped' END;
    reason := CASE outcome WHEN 'dropped' THEN 'too_many_wait' END;
  ELSIF p_policy = 'buffer_one' OR NOT p_is_own_running AND p_kind <> 'backfill' THEN
    outcome := CASE WHEN p_kept = 0 THEN 'buffered' ELSE 'skipped' END;
    reason := CASE outcome WHEN 'skipped' THEN 'one_waits' END;
  ELSE
    outcome := 'skipped';
    reason := 'running';
  END IF;
END $$;
