-- Reminds people of the workflow's open approvals of which a reminder is due, by an event for each. If
-- several reminders of an approval are due (nothing was running meanwhile, or the workflow was paused),
-- only the last of them is sent. An event has no personal data, so it does not say who is asked. At most
-- 500 approvals are handled in one call; the workflow is due still, so the rest come in the next. The
-- caller holds the workflow row FOR NO KEY UPDATE, and the workflow is running and not paused.
CREATE OR REPLACE FUNCTION remind_approvals_v1(p_workflow uuid) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  s record;
BEGIN
  FOR s IN SELECT key, remind_at,
                  (SELECT count(*) FROM unnest(remind_at) AS at WHERE at <= playalter_now())::integer AS last
             FROM steps
            WHERE workflow_id = p_workflow AND status = 'waiting'
              AND remind_at[coalesce(reminded, 0) + 1] <= playalter_now()
            ORDER BY position, key LIMIT 500 LOOP
    UPDATE steps SET reminded = s.last WHERE workflow_id = p_workflow AND key = s.key;
    PERFORM append_event_v1(p_workflow, 'ApprovalReminded', s.key, jsonb_build_object(
      'reminder', s.last, 'of', cardinality(s.remind_at),
      'at', (extract(epoch FROM s.remind_at[s.last]) * 1000000)::bigint));
  END LOOP;
END $$;
