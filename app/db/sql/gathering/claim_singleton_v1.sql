-- Makes the workflow p_id the one of its singleton, and returns null. In the mode `skip`, if another
-- workflow of the singleton has not ended, that one is returned instead, and stays the one. In the
-- mode `replace` it is added to schedule_stops, so that it is stopped and undone after the commit.
--
-- An advisory lock makes two starts at the same instant decide one after the other, also if there is
-- no row yet.
CREATE OR REPLACE FUNCTION claim_singleton_v1(
  p_id uuid, p_user uuid, p_type text, p_key text, p_mode text)
RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
  live uuid;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended(concat_ws(' ', p_user, p_type, p_key), 3));
  SELECT w.id INTO live FROM singletons AS s JOIN workflows AS w ON w.id = s.workflow_id
   WHERE s.user_id = p_user AND s.type = p_type AND s.key = p_key AND w.completed_at IS NULL;
  IF live IS NOT NULL AND p_mode = 'skip' THEN RETURN live; END IF;
  IF live IS NOT NULL THEN
    INSERT INTO schedule_stops (workflow_id, overlap) VALUES (live, 'singleton')
    ON CONFLICT DO NOTHING;
  END IF;
  INSERT INTO singletons (user_id, type, key, workflow_id) VALUES (p_user, p_type, p_key, p_id)
  ON CONFLICT (user_id, type, key) DO UPDATE SET workflow_id = p_id;
  RETURN NULL;
END $$;
