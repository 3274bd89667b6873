-- Puts off a claimed step before its expressions are evaluated, because its user has used up its
-- share of the workers' time. p_error says so, p_code is its code, and p_seconds is the pause. No
-- try is counted. A step of which a call was recorded is not put off. Accepted only from the attempt
-- whose fence (the id of its claim) is current. The workflow row is locked first, FOR NO KEY UPDATE.
--
-- verdicts:
--   fenced: nothing was recorded.
--   called: a call of the step was recorded; nothing was changed, and the step runs.
--   recorded: the step waits.
--   draining: the same, and the workflow is stopping.
CREATE OR REPLACE FUNCTION await_share_v1(
  p_workflow uuid, p_key text, p_fence uuid, p_error jsonb, p_code text,
  p_seconds double precision)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  w text;
BEGIN
  -- The commit is not flushed. If the server crashes and loses it, the lease of the claim expires.
  PERFORM set_config('synchronous_commit', 'off', true);
  SELECT status INTO w FROM workflows WHERE id = p_workflow FOR NO KEY UPDATE;
  PERFORM FROM steps
    WHERE workflow_id = p_workflow AND key = p_key AND fence = p_fence AND status = 'running';
  IF NOT FOUND THEN RETURN 'fenced'; END IF;
  IF EXISTS (SELECT FROM intents WHERE workflow_id = p_workflow AND step_key = p_key) THEN
    RETURN 'called';
  END IF;
  PERFORM put_off_step_v1(p_workflow, p_key, p_error, p_code, p_seconds);
  RETURN CASE w WHEN 'compensating' THEN 'draining' ELSE 'recorded' END;
END $$;
