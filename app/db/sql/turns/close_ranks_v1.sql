-- Gives the place of a lane in its line (see flow_lanes) to the last other lane of the line: at p_tag
-- the lane leaves it, and its turn would be lost to its user. p_limit: the limit that blocks the lane;
-- null: it was closed. If the last lane needs that limit too, the line waits for it as a whole, and
-- nothing is done. Only a lane is moved that no other transaction may be about to unblock: the caller
-- holds the limits p_used. Returns whether the lane leaves the line.
CREATE OR REPLACE FUNCTION close_ranks_v1(
  p_lane bigint, p_pool bigint, p_turns_of bigint, p_tag double precision, p_limit bigint,
  p_used bigint[])
RETURNS boolean LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off AS $$
DECLARE
  last record;
BEGIN
  SELECT id, limits INTO last FROM flow_lanes
   WHERE pool_id = p_pool AND turns_of = p_turns_of AND is_open AND id <> p_lane
   ORDER BY tag DESC LIMIT 1;
  IF NOT FOUND OR p_limit = ANY (last.limits) THEN RETURN false; END IF;
  UPDATE flow_lanes AS l SET tag = p_tag, blocked_tag = l.blocked_tag + p_tag - l.tag
   WHERE l.id = last.id AND l.tag > p_tag
     AND (l.blocked_on IS NULL OR l.blocked_on = ANY (p_used));
  RETURN true;
END $$;
