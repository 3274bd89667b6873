-- Whether a step may still cause costs that are not booked, so that it keeps its reservation.
-- p_previous: its status before the change that fired account_v1.
--   running, unknown, waiting: the outcome is open.
--   pending: only if the platform already works for the step, or if the stop that looked up its
--     call was refused, or if its outcome was unknown
--   cancelled, or failed by a time-out: the platform may work until the step is undone.
CREATE OR REPLACE FUNCTION may_still_cost_v1(p_workflow uuid, p_key text, p_previous text)
RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT CASE status
    WHEN 'running' THEN true
    WHEN 'unknown' THEN true
    WHEN 'waiting' THEN true
    WHEN 'pending' THEN external_id IS NOT NULL OR p_previous IN ('unknown', 'cancelled')
    WHEN 'cancelled' THEN EXISTS (
      SELECT FROM intents WHERE workflow_id = p_workflow AND step_key = p_key
         AND (resolution IS NULL OR resolution = 'accepted'))
    WHEN 'failed' THEN error_code = 'timed_out' AND external_id IS NOT NULL AND NOT is_tolerated
    ELSE false END
    FROM steps WHERE workflow_id = p_workflow AND key = p_key
$$;
