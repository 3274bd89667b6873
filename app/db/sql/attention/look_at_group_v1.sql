-- Lets the reconciler look at once at a user's workflows of which an approval asks a group that was
-- changed: they may need a person no more, or need one now.
CREATE OR REPLACE FUNCTION look_at_group_v1(p_user uuid, p_name text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  asking record;
BEGIN
  FOR asking IN SELECT DISTINCT s.workflow_id AS id, s.key FROM steps AS s
                  JOIN workflows AS w ON w.id = s.workflow_id
                 WHERE w.user_id = p_user AND w.status = 'running' AND s.asked IS NOT NULL
                   AND s.status IN ('pending', 'waiting') AND 'group:' || p_name = ANY (s.asked)
                 ORDER BY 1, 2 LOOP
    PERFORM FROM workflows WHERE id = asking.id AND status = 'running' FOR NO KEY UPDATE;
    IF FOUND AND EXISTS (SELECT FROM needs_person_v1(asking.id, NULL) AS n
                          WHERE n.step_key = asking.key AND n.reason = 'approver_unknown') THEN
      PERFORM call_person_v1(asking.id, asking.key, 'approver_unknown');
    END IF;
    PERFORM wake_by_v1(asking.id, playalter_now());
  END LOOP;
END $$;
