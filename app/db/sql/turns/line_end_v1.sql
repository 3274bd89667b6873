-- The virtual time at which a lane that now joins the line of p_turns_of is due (see flow_lanes): after
-- the turn of the last lane of the line, and of those that have left it. p_lane: the lane itself, if it
-- is known already. Null if there is no other lane.
CREATE OR REPLACE FUNCTION line_end_v1(p_pool bigint, p_turns_of bigint, p_lane bigint)
RETURNS double precision LANGUAGE sql STABLE
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off AS $$
  SELECT greatest(
    (SELECT l.tag + coalesce((SELECT e.cost FROM flow_entries AS e WHERE e.lane_id = l.id
                               ORDER BY e.order_at, e.workflow_id LIMIT 1), 0) / l.weight
       FROM flow_lanes AS l
      WHERE l.pool_id = p_pool AND l.turns_of = p_turns_of AND l.is_open
        AND l.id IS DISTINCT FROM p_lane
      ORDER BY l.tag DESC LIMIT 1),
    (SELECT l.tag FROM flow_lanes AS l
      WHERE l.pool_id = p_pool AND l.turns_of = p_turns_of AND NOT l.is_open
        AND l.id IS DISTINCT FROM p_lane
      ORDER BY l.tag DESC LIMIT 1))
$$;
