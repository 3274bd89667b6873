-- Whether calls of a step may cost something that is not booked: a call is open (of unknown
-- outcome), or one was accepted and no cost of the step's generation p_generation is booked.
CREATE OR REPLACE FUNCTION is_unbooked_v1(p_workflow uuid, p_key text, p_generation integer)
RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT coalesce(bool_or(resolution IS NULL), false)
      OR coalesce(bool_or(resolution = 'accepted'), false) AND NOT EXISTS (
           SELECT FROM booked_effects AS b WHERE b.workflow_id = p_workflow
              AND b.step_key = p_key AND b.generation = p_generation)
    FROM intents WHERE workflow_id = p_workflow AND step_key = p_key
$$;
