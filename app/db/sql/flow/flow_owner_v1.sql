-- Whose a limit of a scope is: the project's, the organisation's, or (the nil UUID) everybody's.
CREATE OR REPLACE FUNCTION flow_owner_v1(p_scope text, p_organisation uuid, p_project uuid)
RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE p_scope WHEN 'account' THEN p_organisation WHEN 'project' THEN p_project
              ELSE '00000000-0000-0000-0000-000000000000'::uuid END
$$;
