-- Records that the file of a batch is sent from now on: its state is uploading. Lines that their steps do
-- not want any more are dropped before, and cost nothing; the others are numbered as they stand in the
-- file, from 1 on. Returns their number; if it is 0, the state stays. Null if the fence p_fence is not
-- current: then nothing was done. Locks the row of the batch first.
CREATE OR REPLACE FUNCTION open_upload_v1(p_batch uuid, p_fence uuid) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
  counted integer;
BEGIN
  PERFORM FROM batches WHERE id = p_batch AND fence = p_fence AND state = 'gathered' FOR UPDATE;
  IF NOT FOUND THEN RETURN NULL; END IF;
  UPDATE batch_lines SET state = 'dropped', is_dropped = true, batch_id = NULL, number = NULL,
         ended_at = playalter_now(), settled_at = clock_timestamp()
   WHERE batch_id = p_batch AND state = 'sent'
     AND (NOT is_wanted_v1(workflow_id, step_key, generation) OR NOT EXISTS (
       SELECT FROM intents AS i
        WHERE i.workflow_id = batch_lines.workflow_id AND i.step_key = batch_lines.step_key
          AND i.generation = batch_lines.generation AND i.ordinal = batch_lines.ordinal));
  UPDATE batch_lines AS l SET number = p.place
    FROM (SELECT id, row_number() OVER (ORDER BY number) AS place FROM batch_lines
           WHERE batch_id = p_batch) AS p
   WHERE p.id = l.id AND l.number <> p.place;
  SELECT count(*) INTO counted FROM batch_lines WHERE batch_id = p_batch;
  UPDATE batches SET lines = counted, failures = 0, error = NULL,
         state = CASE counted WHEN 0 THEN state ELSE 'uploading' END,
         sent_at = CASE counted WHEN 0 THEN NULL ELSE clock_timestamp() END
   WHERE id = p_batch;
  RETURN counted;
END $$;
