-- The type of the webhook message that tells of an event of this type; null if none does. The types
-- are those of append_event_v1 and of chains/webhooks/messages.py.
CREATE OR REPLACE FUNCTION webhook_type_v1(p_type text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE p_type
    WHEN 'WorkflowStarted' THEN 'workflow.started'
    WHEN 'WorkflowSucceeded' THEN 'workflow.succeeded'
    WHEN 'WorkflowFailed' THEN 'workflow.failed'
    WHEN 'WorkflowCancelled' THEN 'workflow.cancelled'
    WHEN 'WorkflowCompensated' THEN 'workflow.compensated'
    WHEN 'StepFailed' THEN 'step.failed'
    WHEN 'StepSuspended' THEN 'approval.requested'
    WHEN 'ApprovalReminded' THEN 'approval.reminded'
    WHEN 'AttentionNeeded' THEN 'attention.raised' END
$$;
