-- Forgets which result a step makes or has made. Locks nothing else.
CREATE OR REPLACE FUNCTION disclaim_result_v1(p_workflow uuid, p_key text)
RETURNS void LANGUAGE sql AS $$
  DELETE FROM known_results WHERE workflow_id = p_workflow AND step_key = p_key;
$$;
