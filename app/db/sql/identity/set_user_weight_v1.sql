-- Sets the weight of a user (see users), also of lanes in which steps of the user wait already. Returns
-- whether there is a user with this address, which is casefolded.
CREATE OR REPLACE FUNCTION set_user_weight_v1(p_email text, p_weight double precision)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  who uuid;
BEGIN
  UPDATE users SET weight = p_weight WHERE email = p_email RETURNING id INTO who;
  UPDATE lanes SET weight = coalesce(p_weight, 1)
   WHERE user_id = who AND queue = ANY (ARRAY(SELECT name FROM queues));
  RETURN who IS NOT NULL;
END $$;
