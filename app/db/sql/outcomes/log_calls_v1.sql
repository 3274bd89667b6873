-- Logs the HTTP calls that an attempt made: p_calls is [{platform, action, status, response_time}].
-- Called by the functions that record how an attempt ended.
CREATE OR REPLACE FUNCTION log_calls_v1(p_workflow uuid, p_key text, p_calls jsonb) RETURNS void
LANGUAGE sql AS $$
  INSERT INTO platform_logs (workflow_id, step_key, platform, action, status, response_time)
  SELECT p_workflow, p_key, c.platform, c.action, c.status, c.response_time
    FROM jsonb_to_recordset(p_calls) AS c (platform text, action text, status text,
                                           response_time integer)
$$;
