-- Which of the queues of the released steps are backed up: 'none' | 'all' | 'some'. p_steps is as in
-- add_steps_v1.
CREATE OR REPLACE FUNCTION are_backed_up_v1(p_steps jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  is_one boolean;
  are_all boolean;
BEGIN
  IF NOT EXISTS (SELECT FROM queues WHERE is_backed_up) THEN RETURN 'none'; END IF;
  SELECT bool_or(q.name IS NOT NULL), bool_and(q.name IS NOT NULL) INTO is_one, are_all
    FROM jsonb_to_recordset(p_steps) AS s (action text, released boolean)
    LEFT JOIN queues AS q ON q.name = queue_of_v1(s.action) AND q.is_backed_up
   WHERE s.released;
  RETURN CASE WHEN are_all THEN 'all' WHEN is_one THEN 'some' ELSE 'none' END;
END $$;
