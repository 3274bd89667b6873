-- Whether the platform may still work for a call of a step: a call is open (of unknown outcome), or
-- the last call of the step's generation p_generation was accepted. A call of a generation before,
-- which was accepted, belongs to the step no longer (see disown_effects_v1).
CREATE OR REPLACE FUNCTION is_at_platform_v1(p_workflow uuid, p_key text, p_generation integer)
RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT coalesce(bool_or(resolution IS NULL), false)
      OR coalesce((array_agg(resolution ORDER BY ordinal DESC)
                     FILTER (WHERE generation = p_generation))[1] = 'accepted', false)
    FROM intents WHERE workflow_id = p_workflow AND step_key = p_key
$$;
