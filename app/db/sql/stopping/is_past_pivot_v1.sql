-- Whether a workflow has passed its pivot p_pivot (the key of the step after which nothing is
-- undone; null if it has none): the pivot has succeeded. p_or_sent: also if the pivot's call was
-- sent, because it may have taken effect.
CREATE OR REPLACE FUNCTION is_past_pivot_v1(p_workflow uuid, p_pivot text, p_or_sent boolean)
RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT EXISTS (
    SELECT FROM steps WHERE workflow_id = p_workflow AND key = p_pivot
       AND (status = 'succeeded' OR p_or_sent
            AND status IN ('pending', 'running', 'waiting', 'unknown') AND EXISTS (
              SELECT FROM intents i WHERE i.workflow_id = p_workflow AND i.step_key = p_pivot
                 AND (i.resolution IS NULL OR i.resolution = 'accepted'))))
$$;
