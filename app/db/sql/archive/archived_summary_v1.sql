-- What workflow_summary_v1 returned of a workflow before it was archived, and when it was. p_is_operator:
-- with the owner's e-mail address.
CREATE OR REPLACE FUNCTION archived_summary_v1(p_workflow uuid, p_is_operator boolean)
RETURNS TABLE (shown json) LANGUAGE sql STABLE AS $$
  SELECT row_to_json(summary) FROM (
  SELECT a.workflow_id AS id, a.type, a.version, a.status, a.cause, NULL::text AS attention, a.priority,
         a.is_paused, a.parent_id, a.forked_from, utc_text(a.created_at) AS created_at,
         utc_text(a.starts_at) AS starts_at, utc_text(a.started_at) AS started_at,
         utc_text(a.completed_at) AS completed_at, a.cost AS cost_micro_usd,
         0 AS reserved_micro_usd, a.budget AS budget_micro_usd, a.budget_id AS budget_of,
         u.email AS owner, utc_text(a.archived_at) AS archived_at, utc_text(a.erased_at) AS erased_at
    FROM archived AS a LEFT JOIN users AS u ON p_is_operator AND u.id = a.user_id
   WHERE a.workflow_id = p_workflow) AS summary
$$;
