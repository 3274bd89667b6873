-- Appends one event to a workflow's record, as a text (see event_text_v1). Its
-- hash is the SHA-256 of the previous event's hash followed by that text; the first event uses the
-- hash of the workflow's id instead.
--
-- The caller holds the workflow row FOR NO KEY UPDATE, so that no other transaction appends an
-- event at the same time. The hash covers the text as it is stored, because jsonb and timestamps
-- are not read back exactly as they were written. p_data contains hashes of payloads, never
-- payloads. Called by every function that logs a change of a workflow's
-- state.
--
-- If a web server watches the workflow, the event is announced at the commit: the workflow's id and
-- the event's number, on the channel watched_events. Only then, because the commits of transactions
-- that announce anything wait for one another.
--
-- Of some types of event, webhooks tell: their messages are written in the same transaction (see
-- tell_webhooks_v1). Without any endpoint, that costs a look at an empty table. All these types come
-- here, and none of them to append_events_v1.
CREATE OR REPLACE FUNCTION append_event_v1(
  p_workflow uuid, p_type text, p_step text, p_data jsonb)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  appended integer;
BEGIN
  INSERT INTO events (workflow_id, seq, body, hash)
  SELECT p_workflow, seq, line, sha256(last_hash || convert_to(line, 'UTF8'))
    FROM (SELECT coalesce(last.seq, 0) + 1 AS seq,
                 coalesce(last.hash, sha256(uuid_send(p_workflow))) AS last_hash,
                 event_text_v1(
                   coalesce(last.seq, 0) + 1,
                   (extract(epoch FROM clock_timestamp()
                     + coalesce((SELECT amount FROM clock_offset), interval '0')) * 1000000)::bigint,
                   p_type, p_step, p_data) AS line
            FROM (VALUES (1)) AS one LEFT JOIN LATERAL (
              SELECT seq, hash FROM events WHERE workflow_id = p_workflow
               ORDER BY seq DESC LIMIT 1) AS last ON true
          OFFSET 0) AS following
  RETURNING seq INTO appended;
  PERFORM pg_notify('watched_events', p_workflow || ' ' || appended)
     FROM watched_workflows WHERE workflow_id = p_workflow AND until > clock_timestamp();
  IF p_type IN ('WorkflowStarted', 'WorkflowSucceeded', 'WorkflowFailed', 'WorkflowCancelled',
                'WorkflowCompensated', 'StepFailed', 'StepSuspended', 'ApprovalReminded',
                'AttentionNeeded') THEN
    IF EXISTS (SELECT FROM webhook_endpoints) THEN
      PERFORM tell_webhooks_v1(p_workflow, appended, p_type, p_step, p_data);
    END IF;
  END IF;
END $$;
