-- The state and cost of a workflow, without its steps and payloads. A running workflow is shown as
-- suspended if one of its steps waits, and no step runs or could run now. p_is_operator: with the
-- owner's e-mail address. PostgreSQL makes a part of the calling query from this function. The text
-- of the result has no blanks between names and values, and the web server may send it as it is.
CREATE OR REPLACE FUNCTION workflow_summary_v1(p_workflow uuid, p_is_operator boolean)
RETURNS TABLE (shown json) LANGUAGE sql STABLE AS $$
  SELECT row_to_json(summary) FROM (
  SELECT w.id, w.type, w.version,
         -- Without OFFSET 0, PostgreSQL would read the steps of all workflows.
         CASE WHEN w.status = 'running'
               AND EXISTS (SELECT FROM steps AS s WHERE s.workflow_id = w.id
                              AND s.status = 'waiting' OFFSET 0)
               AND NOT EXISTS (SELECT FROM steps AS s WHERE s.workflow_id = w.id
                    AND (s.status IN ('running', 'unknown')
                         OR s.status = 'pending' AND s.publish_after IS NOT NULL
                            AND (s.wake_at IS NULL OR s.wake_at <= playalter_now()))
                    OFFSET 0)
              THEN 'suspended' ELSE w.status END AS status,
         w.cause, w.attention, w.priority, w.paused_at IS NOT NULL AS is_paused,
         w.parent_id, w.forked_from, utc_text(w.created_at) AS created_at,
         utc_text(w.starts_at) AS starts_at,
         utc_text(w.started_at) AS started_at, utc_text(w.completed_at) AS completed_at,
         w.spent + coalesce((
           SELECT sum(c.spent) FROM child_costs AS c WHERE c.ancestor_id = w.id), 0)
           AS cost_micro_usd,
         coalesce(b.reserved, 0) AS reserved_micro_usd,
         CASE WHEN b.applies THEN b.amount END AS budget_micro_usd,
         w.budget_id AS budget_of, u.email AS owner,
         NULL::text AS archived_at, NULL::text AS erased_at
    FROM workflows AS w
    LEFT JOIN budgets AS b ON b.workflow_id = w.id
    LEFT JOIN users AS u ON p_is_operator AND u.id = w.user_id
   WHERE w.id = p_workflow) AS summary
$$;
