-- The terms of a child without the limits of which an ancestor holds a place: a family of workflows
-- counts once. Otherwise parents that hold all places would wait for ever for their children.
CREATE OR REPLACE FUNCTION flow_of_child_v1(
  p_parent uuid, p_flow jsonb, p_organisation uuid, p_project uuid)
RETURNS jsonb LANGUAGE sql STABLE AS $$
  WITH RECURSIVE family AS (
    SELECT id, parent_id FROM workflows WHERE id = p_parent
    UNION ALL
    SELECT w.id, w.parent_id FROM family AS f JOIN workflows AS w ON w.id = f.parent_id),
  held AS (
    SELECT l.scope, l.owner, l.name, l.key
      FROM family AS f JOIN flow_turns AS t ON t.workflow_id = f.id
      JOIN flow_limits AS l ON l.id = t.limit_id WHERE l.scope <> 'throttle')
  SELECT jsonb_set(p_flow, '{limits}', coalesce(
    (SELECT jsonb_agg(jsonb_build_object('scope', u.scope, 'name', u.name, 'key', u.key,
                                         'most', u.most) ORDER BY u.number)
       FROM ROWS FROM (jsonb_to_recordset(p_flow -> 'limits')
                         AS (scope text, name text, key text, most integer))
            WITH ORDINALITY AS u (scope, name, key, most, number)
      WHERE (u.scope, flow_owner_v1(u.scope, p_organisation, p_project), u.name, u.key)
            NOT IN (SELECT scope, owner, name, key FROM held)),
    '[]'))
$$;
