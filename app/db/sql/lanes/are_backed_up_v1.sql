-- Whether the queues of all released steps are backed up. p_steps is as in add_steps_v1.
CREATE OR REPLACE FUNCTION are_backed_up_v1(p_steps jsonb) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM queues WHERE is_backed_up) THEN RETURN false; END IF;
  RETURN (SELECT coalesce(bool_and(EXISTS (
                   SELECT FROM queues WHERE name = queue_of_v1(s.action) AND is_backed_up)), false)
            FROM jsonb_to_recordset(p_steps) AS s (action text, released boolean)
           WHERE s.released);
END $$;
