-- Root workflows with all their children, and whether they may be archived now. For each of p_roots
-- that exists and has no parent: the ids of the family in ascending order, its types, since when its
-- last workflow is counted as ended, and why it may not be archived; null if it may. Of several
-- reasons one is given.
--
-- refusal: not_ended, attention (it needs a person), undoing (a compensation is not done), reserved
--   (a reservation is not settled), open_call (the outcome of a call is unknown), undecided_effect
--   (see settle_delivery_v1), dead_letter (an open one, or its replay runs), schedule (the schedule
--   that started it has not seen to its end), live_fork, original (it is a fork, and a workflow from
--   which it comes has not ended), webhooks (a message about it waits to be sent), held.
CREATE OR REPLACE FUNCTION archivable_v1(p_roots uuid[])
RETURNS TABLE (root_id uuid, ids uuid[], types text[], ended_at timestamptz, refusal text)
LANGUAGE sql STABLE AS $$
  WITH RECURSIVE family AS (
    SELECT id AS root, id FROM workflows WHERE id = ANY (p_roots) AND parent_id IS NULL
    UNION ALL
    SELECT f.root, w.id FROM family AS f JOIN workflows AS w ON w.parent_id = f.id),
  telling AS MATERIALIZED (
    SELECT m.workflow_id FROM webhook_messages AS m JOIN (
      SELECT message_id FROM webhook_sendings WHERE status = 'pending'
      UNION ALL
      SELECT message_id FROM webhook_sendings WHERE status = 'sending') AS s ON s.message_id = m.id
     WHERE m.workflow_id IS NOT NULL),
  members AS (
    SELECT f.root, w.id, w.type, greatest(w.completed_at, a.restored_at) AS ended_at, CASE
      WHEN w.completed_at IS NULL THEN 'not_ended'
      WHEN w.attention IS NOT NULL THEN 'attention'
      WHEN EXISTS (SELECT FROM steps AS s WHERE s.workflow_id = w.id
                      AND (s.status IN ('running', 'waiting', 'unknown')
                           OR s.kind IN ('undo', 'orphan_undo')
                              AND s.status IN ('pending', 'failed'))) THEN 'undoing'
      WHEN EXISTS (SELECT FROM steps AS s WHERE s.workflow_id = w.id AND s.reserved > 0)
        OR EXISTS (SELECT FROM budgets AS b WHERE b.workflow_id = w.id AND b.reserved > 0)
        THEN 'reserved'
      WHEN EXISTS (SELECT FROM intents AS i WHERE i.workflow_id = w.id AND i.resolution IS NULL)
        THEN 'open_call'
      WHEN EXISTS (SELECT FROM webhook_deliveries AS d
                    WHERE d.effect_workflow_id = w.id AND d.fate IS NULL) THEN 'undecided_effect'
      WHEN EXISTS (SELECT FROM dead_letters AS d LEFT JOIN workflows AS r ON r.id = d.replay_id
                    WHERE d.workflow_id = w.id
                      AND (d.settled_at IS NULL OR r.id IS NOT NULL AND r.completed_at IS NULL))
        THEN 'dead_letter'
      WHEN EXISTS (SELECT FROM schedule_runs AS r WHERE r.workflow_id = w.id AND r.is_open)
        THEN 'schedule'
      WHEN has_live_fork_v1(w.id) THEN 'live_fork'
      WHEN w.forked_from IS NOT NULL AND has_live_original_v1(w.forked_from) THEN 'original'
      WHEN w.id IN (SELECT workflow_id FROM telling) THEN 'webhooks'
      WHEN EXISTS (SELECT FROM archive_holds AS h
                    WHERE h.root_id = f.root AND h.released_at IS NULL) THEN 'held' END AS refusal
      FROM family AS f JOIN workflows AS w ON w.id = f.id
      LEFT JOIN archived AS a ON a.workflow_id = f.id)
  SELECT root, array_agg(id ORDER BY id), array_agg(DISTINCT type ORDER BY type),
         CASE WHEN bool_and(ended_at IS NOT NULL) THEN max(ended_at) END, min(refusal)
    FROM members GROUP BY root
$$;
