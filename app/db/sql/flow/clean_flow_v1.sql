-- Deletes lanes that have been closed for p_seconds, at most p_most of them, and the limits that no lane
-- and no workflow uses any more, also those that were still used when their last lane was deleted.
-- Never waits for another transaction. Returns how many lanes were deleted.
CREATE OR REPLACE FUNCTION clean_flow_v1(p_seconds double precision, p_most integer)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  old bigint[];
  unused bigint[];
  deleted integer := 0;
  -- Four limits, a singleton and a throttle.
  most_of_lane CONSTANT integer := 6;
BEGIN
  SELECT array_agg(id) INTO old FROM (
    SELECT id FROM flow_lanes WHERE NOT is_open AND changed_at < clock_timestamp() - seconds(p_seconds)
       AND pg_try_advisory_xact_lock(hashtext('flow lane'), hashtext(encode(identity, 'hex')))
     LIMIT p_most) AS found;
  IF old IS NOT NULL THEN
    -- Statements of their own: they see what was committed before the locks were taken.
    UPDATE flow_lanes SET is_open = true, changed_at = clock_timestamp()
     WHERE id = ANY (old) AND EXISTS (SELECT FROM flow_entries WHERE lane_id = flow_lanes.id);
    DELETE FROM flow_lanes WHERE id = ANY (old) AND NOT is_open;
    GET DIAGNOSTICS deleted = ROW_COUNT;
  END IF;
  SELECT array_agg(id) INTO unused FROM (
    SELECT id FROM flow_limits AS l
     WHERE NOT EXISTS (SELECT FROM flow_turns WHERE limit_id = l.id)
       AND id NOT IN (SELECT unnest(limits) FROM flow_lanes)
       AND coalesce(tat < playalter_now(), true)
     LIMIT p_most * most_of_lane FOR UPDATE SKIP LOCKED) AS found;
  DELETE FROM flow_limits AS l
   WHERE id = ANY (unused) AND NOT EXISTS (SELECT FROM flow_turns WHERE limit_id = l.id)
     AND id NOT IN (SELECT unnest(limits) FROM flow_lanes);
  RETURN deleted;
END $$;
