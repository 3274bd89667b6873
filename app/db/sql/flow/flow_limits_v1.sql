-- The limits and throttles of the terms p_flow (see chains/flow/stored.py), each with its number: the
-- places of a limit, or the burst of a throttle, which has an interval too. Rows that are missing are
-- added. The rows are locked FOR KEY SHARE, so that clean_flow_v1 does not delete them before this
-- transaction has added its lane.
CREATE OR REPLACE FUNCTION flow_limits_v1(p_flow jsonb, p_organisation uuid, p_project uuid)
RETURNS TABLE (id bigint, most integer, seconds double precision)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  one record;
BEGIN
  FOR one IN
    SELECT g.scope, flow_owner_v1(g.scope, p_organisation, p_project) AS owner, g.name, g.key,
           min(g.most) AS most, max(g.interval) AS interval
      FROM (SELECT scope, name, key, most, NULL::double precision AS interval
              FROM jsonb_to_recordset(p_flow -> 'limits')
                AS l (scope text, name text, key text, most integer)
            UNION ALL
            SELECT 'throttle', name, key, burst, interval
              FROM jsonb_to_recordset(p_flow -> 'throttles')
                AS t (name text, key text, burst integer, interval double precision)) AS g
     -- One order for all transactions, because each waits for whoever adds the same row.
     GROUP BY g.scope, g.name, g.key ORDER BY g.scope, g.name, g.key
  LOOP
    LOOP
      SELECT l.id INTO id FROM flow_limits AS l
       WHERE l.name = one.name AND l.key = one.key AND l.scope = one.scope AND l.owner = one.owner
         FOR KEY SHARE;
      EXIT WHEN FOUND;
      INSERT INTO flow_limits (scope, owner, name, key)
      VALUES (one.scope, one.owner, one.name, one.key) ON CONFLICT DO NOTHING;
    END LOOP;
    most := one.most;
    seconds := one.interval;
    RETURN NEXT;
  END LOOP;
END $$;
