-- Writes the webhook messages that tell of an event, if the workflow's user has an endpoint that
-- wants them. Of the steps that wait, only approvals are told. Called by append_event_v1 in the
-- transaction of the event, for the types that webhook_type_v1 knows.
CREATE OR REPLACE FUNCTION tell_webhooks_v1(
  p_workflow uuid, p_seq integer, p_type text, p_step text, p_data jsonb)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  w record;
  asked text;
BEGIN
  SELECT user_id, type, status, parent_id INTO w FROM workflows
   WHERE id = p_workflow
     AND EXISTS (SELECT FROM webhook_endpoints AS e WHERE e.user_id = workflows.user_id);
  IF NOT FOUND THEN RETURN; END IF;
  IF p_type IN ('StepSuspended', 'ApprovalReminded') THEN
    SELECT signal INTO asked FROM steps WHERE workflow_id = p_workflow AND key = p_step;
    IF asked IS NULL THEN RETURN; END IF;
  END IF;
  PERFORM tell_endpoints_v1(
    w.user_id, webhook_type_v1(p_type), p_workflow, p_seq,
    jsonb_strip_nulls(jsonb_build_object(
      'workflow_id', p_workflow, 'workflow_type', w.type, 'status', w.status,
      'parent_id', w.parent_id, 'seq', p_seq, 'step', p_step, 'signal', asked,
      'reminder', p_data -> 'reminder', 'of', p_data -> 'of',
      'code', p_data -> 'code', 'reason', p_data -> 'reason', 'cause', p_data -> 'cause')),
    w.parent_id IS NOT NULL AND p_type IN ('WorkflowStarted', 'WorkflowSucceeded',
      'WorkflowFailed', 'WorkflowCancelled', 'WorkflowCompensated'), NULL);
END $$;
