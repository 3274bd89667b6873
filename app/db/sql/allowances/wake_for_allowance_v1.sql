-- Makes up to p_most steps due that wait for the allowance of a platform, those that have waited
-- longest first, because work there has ended. A workflow that another transaction has locked is left
-- out: its steps ask again after their pause. Locks the workflow rows FOR NO KEY UPDATE.
CREATE OR REPLACE FUNCTION wake_for_allowance_v1(p_platform text, p_most integer) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
  s record;
  woken integer := 0;
BEGIN
  FOR s IN SELECT workflow_id, key FROM steps
            WHERE held_since IS NOT NULL AND error_code = 'waits_for_allowance'
              AND status = 'pending' AND wake_at > playalter_now()
              AND queue_of_v1(action) = p_platform
            ORDER BY held_since, workflow_id, key LIMIT p_most LOOP
    PERFORM FROM workflows WHERE id = s.workflow_id AND status = 'running'
        FOR NO KEY UPDATE SKIP LOCKED;
    CONTINUE WHEN NOT FOUND;
    UPDATE steps SET wake_at = playalter_now()
     WHERE workflow_id = s.workflow_id AND key = s.key AND status = 'pending'
       AND error_code = 'waits_for_allowance' AND wake_at > playalter_now();
    IF FOUND THEN
      PERFORM wake_by_v1(s.workflow_id, playalter_now());
      woken := woken + 1;
    END IF;
  END LOOP;
  RETURN woken;
END $$;
