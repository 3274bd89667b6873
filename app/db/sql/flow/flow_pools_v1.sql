-- Hands places that have become free to the lanes that wait for them, at most p_most at once, and
-- returns the pools in which lanes can be admitted (at most p_most), and for how many seconds nothing
-- else need be done: null unless a throttle opens at some time. If nothing waits, it reads three
-- empty indexes.
CREATE OR REPLACE FUNCTION flow_pools_v1(p_most integer)
RETURNS TABLE (pools bigint[], pause double precision) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off AS $$
DECLARE
  due bigint[];
  at timestamptz := playalter_now();
BEGIN
  PERFORM set_config('synchronous_commit', 'off', true);
  WITH freed AS (
    DELETE FROM flow_released WHERE id IN (
      SELECT id FROM flow_released ORDER BY id LIMIT p_most FOR UPDATE SKIP LOCKED)
    RETURNING limit_id)
  SELECT array_agg(DISTINCT id) INTO due FROM (
    SELECT limit_id AS id FROM freed
    UNION ALL
    (SELECT id FROM flow_limits WHERE opens_at <= at ORDER BY opens_at LIMIT p_most)
    UNION ALL
    -- If the last of them is too far ahead, the clock was set back.
    (SELECT id FROM (
       SELECT id, opens_at, spacing FROM flow_limits WHERE opens_at IS NOT NULL
        ORDER BY opens_at DESC LIMIT 1) AS last
      WHERE opens_at > at + seconds(spacing))) AS found;
  IF due IS NOT NULL THEN
    PERFORM FROM flow_limits WHERE id = ANY (due) ORDER BY id FOR NO KEY UPDATE;
    PERFORM wake_lanes_v1(due, p_most);
  END IF;
  RETURN QUERY
  WITH RECURSIVE ready AS (
    (SELECT pool_id FROM flow_lanes WHERE is_open AND blocked_on IS NULL ORDER BY pool_id LIMIT 1)
    UNION ALL
    SELECT (SELECT l.pool_id FROM flow_lanes AS l
             WHERE l.is_open AND l.blocked_on IS NULL AND l.pool_id > ready.pool_id
             ORDER BY l.pool_id LIMIT 1)
      FROM ready WHERE ready.pool_id IS NOT NULL)
  SELECT coalesce((SELECT array_agg(f.pool_id) FROM (
           SELECT pool_id FROM ready WHERE pool_id IS NOT NULL LIMIT p_most) AS f), '{}'),
         extract(epoch FROM (SELECT min(opens_at) FROM flow_limits WHERE opens_at IS NOT NULL)
           - at)::double precision;
END $$;
