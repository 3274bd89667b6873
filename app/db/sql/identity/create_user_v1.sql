-- Creates a user with an organisation and a project for the user's workflows and files. Returns the
-- user's id. If a user with this e-mail address exists, returns that user's id; addresses that
-- differ only in case are the same. Two simultaneous callers with the same new address get the same
-- user. If approvals ask this address already or will ask it, the reconciler looks at their
-- workflows at once, which then need no person for it any more.
CREATE OR REPLACE FUNCTION create_user_v1(p_email text) RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
  address text := casefold(p_email COLLATE pg_unicode_fast);
  found_user uuid;
  organisation uuid := uuidv7();
  project uuid := uuidv7();
  asking uuid;
BEGIN
  -- Callers with the same address take turns. Otherwise the second would leave an organisation
  -- without users.
  PERFORM pg_advisory_xact_lock(hashtextextended(address, 0));
  SELECT id INTO found_user FROM users WHERE email = address;
  IF FOUND THEN RETURN found_user; END IF;
  INSERT INTO organisations (id, name) VALUES (organisation, address);
  INSERT INTO projects (id, organisation_id, name) VALUES (project, organisation, 'default');
  INSERT INTO users (organisation_id, project_id, email) VALUES (organisation, project, address)
  RETURNING id INTO found_user;
  FOR asking IN SELECT DISTINCT s.workflow_id FROM steps s
                 WHERE s.asked IS NOT NULL AND s.status IN ('pending', 'waiting')
                   AND (address = ANY (s.asked) OR EXISTS (
                     SELECT FROM approver_groups AS g JOIN workflows AS w ON w.user_id = g.user_id
                      WHERE w.id = s.workflow_id AND address = ANY (g.members)
                        AND 'group:' || g.name = ANY (s.asked)))
                 ORDER BY 1 LOOP
    PERFORM wake_by_v1(asking, playalter_now());
  END LOOP;
  RETURN found_user;
END $$;
