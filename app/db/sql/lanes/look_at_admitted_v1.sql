-- Makes the reconciler look at the workflows that were admitted at least p_seconds ago and have not
-- ended: the message of a step may be lost, or the worker that took it. Reads at most p_most rows of
-- admissions, and returns how many it has read. Never waits: a workflow that another transaction
-- holds gets its next_wake_at from the next call.
CREATE OR REPLACE FUNCTION look_at_admitted_v1(p_seconds double precision, p_most integer)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  old record;
  busy uuid[];
  rows_read integer := 0;
BEGIN
  FOR old IN
    SELECT id, workflow_ids FROM admissions WHERE at < clock_timestamp() - seconds(p_seconds)
     ORDER BY id LIMIT p_most FOR UPDATE SKIP LOCKED
  LOOP
    rows_read := rows_read + 1;
    WITH due AS MATERIALIZED (
      SELECT w.id FROM workflows AS w
       WHERE w.id = ANY (old.workflow_ids) AND w.completed_at IS NULL
         AND w.next_wake_at > playalter_now() + interval '1 minute'),
    free AS MATERIALIZED (
      SELECT w.id FROM due JOIN workflows AS w ON w.id = due.id FOR NO KEY UPDATE OF w SKIP LOCKED),
    looked_at AS (
      UPDATE workflows AS w SET next_wake_at = playalter_now() FROM free WHERE w.id = free.id)
    SELECT array_agg(id) INTO busy FROM due WHERE id NOT IN (SELECT id FROM free);
    IF busy IS NULL THEN
      DELETE FROM admissions WHERE id = old.id;
    ELSE
      UPDATE admissions SET workflow_ids = busy WHERE id = old.id;
    END IF;
  END LOOP;
  RETURN rows_read;
END $$;
