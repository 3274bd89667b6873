-- The addresses of the people whom an approval asks: those that it names, and the members of the groups
-- that it names (group:<name>), which belong to p_owner, the owner of the workflow. The names of the
-- groups are among them; no address is like one.
CREATE OR REPLACE FUNCTION approvers_v1(p_owner uuid, p_asked text[]) RETURNS text[]
LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN p_asked IS NOT NULL THEN p_asked || ARRAY(
    SELECT unnest(g.members) FROM approver_groups AS g
     WHERE g.user_id = p_owner AND 'group:' || g.name = ANY (p_asked)) END
$$;
