-- Whether a step may still cause costs that are not booked, so that it keeps its reservation.
-- p_previous: its status before the change that fired account_v1.
--   running, unknown, waiting: the outcome is open.
--   pending: the platform works for the step, as far as is known: the step has waited for it, one of
--     the step's calls is open (of unknown outcome), or the last call of its generation was
--     accepted. The worker may have died, or may have failed, before it recorded the wait or the
--     cost. Also if the stop that looked up the call was refused, or if the outcome was unknown.
--   failed: the same, as long as the failure is not tolerated and no cost of the generation is
--     booked.
--   cancelled: the platform may work until the step is undone.
CREATE OR REPLACE FUNCTION may_still_cost_v1(p_workflow uuid, p_key text, p_previous text)
RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT CASE status
    WHEN 'running' THEN true
    WHEN 'unknown' THEN true
    WHEN 'waiting' THEN true
    WHEN 'pending' THEN external_id IS NOT NULL OR p_previous IN ('unknown', 'cancelled')
                        OR is_at_platform_v1(p_workflow, p_key, generation)
    WHEN 'cancelled' THEN EXISTS (
      SELECT FROM intents WHERE workflow_id = p_workflow AND step_key = p_key
         AND (resolution IS NULL OR resolution = 'accepted'))
    WHEN 'failed' THEN NOT is_tolerated
                       AND (error_code = 'timed_out' AND external_id IS NOT NULL
                            OR is_at_platform_v1(p_workflow, p_key, generation))
                       AND NOT EXISTS (
      SELECT FROM booked_effects AS b WHERE b.workflow_id = p_workflow AND b.step_key = p_key
         AND b.generation = steps.generation)
    ELSE false END
    FROM steps WHERE workflow_id = p_workflow AND key = p_key
$$;
