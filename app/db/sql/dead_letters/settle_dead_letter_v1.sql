-- Takes a workflow out of the open dead letters, if it is one: p_as is `replayed` (by the workflow
-- p_replay) or `dismissed` (because of p_note). Returns whether that was done. What was dismissed may
-- still be replayed; the first replay is kept. p_request: a hash of the Idempotency-Key of the request
-- that replays it, if it has one. The caller holds the workflow row FOR NO KEY UPDATE and logs the
-- event.
CREATE OR REPLACE FUNCTION settle_dead_letter_v1(
  p_workflow uuid, p_as text, p_replay uuid, p_note text, p_request bytea)
RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  UPDATE dead_letters SET settled_at = clock_timestamp(), settled_as = p_as, replay_id = p_replay,
         note = p_note, request = p_request
   WHERE workflow_id = p_workflow
     AND (settled_at IS NULL OR settled_as = 'dismissed' AND p_as = 'replayed');
  RETURN FOUND;
END $$;
