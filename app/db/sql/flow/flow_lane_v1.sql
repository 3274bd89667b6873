-- The lane of a start of the definition p_type under the terms p_flow: finds it, or makes it, and
-- opens it. The caller adds its entry in this transaction. Returns null if p_depth starts wait in it
-- (null: any number may).
--
-- Until the end of this transaction nobody closes or deletes the lane, so an entry that is not
-- committed yet is never left in a closed lane. A lane that was closed has no claim to what it has
-- missed: its tag is at least the pool's virtual time.
CREATE OR REPLACE FUNCTION flow_lane_v1(
  p_type text, p_flow jsonb, p_organisation uuid, p_project uuid, p_depth integer)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  mark bytea := sha256(convert_to(jsonb_build_array(
    p_type, p_flow - '{cost,priority,depth}'::text[],
    CASE WHEN p_flow @? '$.limits[*] ? (@.scope == "account")' THEN p_organisation END,
    CASE WHEN p_flow @? '$.limits[*] ? (@.scope == "project")' THEN p_project END)::text, 'UTF8'));
  lane record;
  pool bigint;
  widest record;
BEGIN
  PERFORM pg_advisory_xact_lock_shared(hashtext('flow lane'), hashtext(encode(mark, 'hex')));
  LOOP
    SELECT id, pool_id, is_open INTO lane FROM flow_lanes WHERE identity = mark;
    EXIT WHEN FOUND;
    -- The widest scope, without its key: so the values of a key compete with each other.
    SELECT w.scope, w.name INTO widest
      FROM (SELECT scope, name, array_position('{platform,account,project,definition}', scope) AS rank
              FROM jsonb_to_recordset(p_flow -> 'limits') AS l (scope text, name text)
            UNION ALL SELECT 'definition', p_type, 5) AS w ORDER BY w.rank, w.name LIMIT 1;
    LOOP
      SELECT id INTO pool FROM flow_pools
       WHERE name = widest.name AND scope = widest.scope
         AND owner = flow_owner_v1(widest.scope, p_organisation, p_project);
      EXIT WHEN FOUND;
      INSERT INTO flow_pools (scope, owner, name)
      VALUES (widest.scope, flow_owner_v1(widest.scope, p_organisation, p_project), widest.name)
      ON CONFLICT DO NOTHING;
    END LOOP;
    INSERT INTO flow_lanes (pool_id, tag, weight, is_open, identity, definition, share_key, limits,
                            mosts, intervals)
    SELECT pool, (SELECT v FROM flow_pools WHERE id = pool),
           (p_flow ->> 'weight')::double precision, true, mark, p_type, p_flow ->> 'share',
           coalesce(array_agg(id), '{}'), coalesce(array_agg(most), '{}'),
           coalesce(array_agg(seconds), '{}')
      FROM flow_limits_v1(p_flow, p_organisation, p_project)
    ON CONFLICT DO NOTHING;
  END LOOP;
  IF NOT lane.is_open THEN
    UPDATE flow_lanes SET is_open = true, changed_at = clock_timestamp(),
           tag = greatest(tag, (SELECT v FROM flow_pools WHERE id = lane.pool_id))
     WHERE id = lane.id AND NOT is_open;
  ELSIF p_depth IS NOT NULL
    AND EXISTS (SELECT FROM flow_entries WHERE lane_id = lane.id OFFSET p_depth - 1)
  THEN
    RETURN NULL;
  END IF;
  RETURN lane.id;
END $$;
