-- Whether the step of a line may still take its answer: it has not ended, and has not begun a new
-- generation of its calls.
CREATE OR REPLACE FUNCTION is_wanted_v1(p_workflow uuid, p_step text, p_generation integer)
RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT EXISTS (
    SELECT FROM steps WHERE workflow_id = p_workflow AND key = p_step
       AND generation = p_generation AND status IN ('pending', 'running', 'waiting', 'unknown'))
$$;
