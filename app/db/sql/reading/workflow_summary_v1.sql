-- The state and cost of a workflow, without its steps and payloads. A running workflow is shown as
-- suspended if one of its steps waits, and no step runs or could run now. p_is_operator: with the
-- owner's e-mail address. PostgreSQL makes a part of the calling query from this function.
CREATE OR REPLACE FUNCTION workflow_summary_v1(p_workflow uuid, p_is_operator boolean)
RETURNS TABLE (shown json) LANGUAGE sql STABLE AS $$
  SELECT json_build_object(
           'id', w.id, 'type', w.type, 'version', w.version,
           -- Without OFFSET 0, PostgreSQL would read the steps of all workflows.
           'status', CASE WHEN w.status = 'running'
                           AND EXISTS (SELECT FROM steps AS s WHERE s.workflow_id = w.id
                                          AND s.status = 'waiting' OFFSET 0)
                           AND NOT EXISTS (SELECT FROM steps AS s WHERE s.workflow_id = w.id
                                AND (s.status IN ('running', 'unknown')
                                     OR s.status = 'pending' AND s.publish_after IS NOT NULL
                                        AND (s.wake_at IS NULL OR s.wake_at <= playalter_now()))
                                OFFSET 0)
                          THEN 'suspended' ELSE w.status END,
           'cause', w.cause, 'attention', w.attention, 'priority', w.priority,
           'is_paused', w.paused_at IS NOT NULL,
           'parent_id', w.parent_id, 'forked_from', w.forked_from,
           'created_at', utc_text(w.created_at), 'started_at', utc_text(w.started_at),
           'completed_at', utc_text(w.completed_at),
           'cost_micro_usd', w.spent + coalesce((
             SELECT sum(c.spent) FROM child_costs AS c WHERE c.ancestor_id = w.id), 0),
           'reserved_micro_usd', coalesce(b.reserved, 0),
           'budget_micro_usd', CASE WHEN b.applies THEN b.amount END,
           'budget_of', w.budget_id, 'owner', u.email)
    FROM workflows AS w
    LEFT JOIN budgets AS b ON b.workflow_id = w.id
    LEFT JOIN users AS u ON p_is_operator AND u.id = w.user_id
   WHERE w.id = p_workflow
$$;
