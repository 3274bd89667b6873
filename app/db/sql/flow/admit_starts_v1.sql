-- Admits up to p_most starts of the lanes of a pool: each gets its places, all or none, and leaves its
-- lane. Returns the workflows, which the caller begins after the commit; if its process dies, the
-- reconciler does (see admissions). One transaction at a time admits in a pool.
--
-- The lanes are served in the order of their tags (start-time fair queueing, Goyal and others, 1997): a
-- start with the cost c moves the tag of its lane by c / weight. Starts whose order depends on lanes or
-- entries that this call does not read are left for the next one (`upto`).
--
-- The rows of the limits are locked in the order of their ids, and the places that are held are counted
-- in the next statement, which sees what was committed before. A lane that needs a full limit is
-- blocked. Only this function blocks lanes, and only wake_lanes_v1 unblocks them, both under these
-- locks, so no wake-up is lost. An entry that another transaction holds (of a workflow that is being
-- cancelled, say) is left: this never waits for a workflow, and touches none.
--
-- verdicts:
--   done: no lane of the pool is ready.
--   more: there may be more to admit.
--   held: others hold the entries of the lanes that are ready, or are just adding entries.
--   busy: another process admits in this pool.
CREATE OR REPLACE FUNCTION admit_starts_v1(p_pool bigint, p_most integer)
RETURNS TABLE (verdict text, workflow_ids uuid[]) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET jit = off AS $$
#variable_conflict use_column
DECLARE
  at timestamptz := playalter_now();
  lanes bigint[];
  next_tag double precision;
  each_of integer;
  used bigint[];
  held bigint[];
  tats timestamptz[];
  one record;
  place integer;
  full_limit bigint;
  full_most integer;
  tat timestamptz;
  burst interval;
  blocked bigint[] := '{}';
  blocked_by bigint[] := '{}';
  blocked_mosts integer[] := '{}';
  taken bigint[] := '{}';
  orders timestamptz[] := '{}';
  ids uuid[] := '{}';
  served_to double precision;
  empty bigint[];
  is_closed boolean;
  is_throttled boolean := false;
BEGIN
  -- The commit is not flushed. If the server crashes and loses it, the starts wait again; what has
  -- begun was flushed after this.
  PERFORM set_config('synchronous_commit', 'off', true);
  verdict := 'busy';
  workflow_ids := '{}';
  IF NOT pg_try_advisory_xact_lock(hashtext('flow pool'), hashtext(p_pool::text)) THEN
    RETURN NEXT;
    RETURN;
  END IF;
  SELECT array_agg(f.id ORDER BY f.tag, f.id), max(f.tag) INTO lanes, next_tag
    FROM (SELECT id, tag FROM flow_lanes
           WHERE pool_id = p_pool AND is_open AND blocked_on IS NULL
           ORDER BY tag, id LIMIT p_most + 1) AS f;
  verdict := 'done';
  IF lanes IS NULL THEN
    RETURN NEXT;
    RETURN;
  END IF;
  IF cardinality(lanes) <= p_most THEN next_tag := 'infinity'; END IF;
  lanes := lanes[:p_most];
  each_of := least(p_most, ceil(2.0 * p_most / cardinality(lanes)));
  SELECT array_agg(DISTINCT u.id) INTO used FROM flow_lanes AS l, unnest(l.limits) AS u (id)
   WHERE l.id = ANY (lanes);
  PERFORM FROM flow_limits WHERE id = ANY (used) ORDER BY id FOR NO KEY UPDATE;
  SELECT array_agg(l.id ORDER BY l.id), array_agg(l.tat ORDER BY l.id),
         array_agg(CASE WHEN l.scope <> 'throttle' THEN
           (SELECT count(*) FROM flow_turns AS t WHERE t.limit_id = l.id) END ORDER BY l.id)
    INTO used, tats, held FROM flow_limits AS l WHERE l.id = ANY (used);
  FOR one IN
    WITH heads AS MATERIALIZED (
      SELECT l.id, l.limits, l.mosts, l.intervals, e.order_at, e.workflow_id, e.cost, e.number,
             l.tag + (e.upto - e.cost) / l.weight AS starts, l.tag + e.upto / l.weight AS ends
        FROM flow_lanes AS l CROSS JOIN LATERAL (
          SELECT h.*, row_number() OVER by_order AS number, sum(h.cost) OVER by_order AS upto
            FROM (SELECT order_at, workflow_id, cost FROM flow_entries WHERE lane_id = l.id
                   ORDER BY order_at, workflow_id LIMIT each_of) AS h
          WINDOW by_order AS (ORDER BY h.order_at, h.workflow_id ROWS UNBOUNDED PRECEDING)) AS e
       WHERE l.id = ANY (lanes))
    SELECT h.* FROM heads AS h
     WHERE h.starts <= least(next_tag, (SELECT min(ends) FROM heads WHERE number = each_of))
     ORDER BY h.starts, h.id, h.number
  LOOP
    CONTINUE WHEN one.id = ANY (blocked);
    full_limit := NULL;
    FOR i IN 1 .. cardinality(one.limits) LOOP
      place := array_position(used, one.limits[i]);
      IF one.intervals[i] IS NULL THEN
        IF held[place] >= one.mosts[i] THEN full_limit := one.limits[i]; END IF;
      ELSE
        -- No start is more than its burst ahead, unless the clock was set back.
        burst := seconds(one.intervals[i] * one.mosts[i]);
        IF tats[place] > at + burst THEN tats[place] := at + burst; END IF;
        is_throttled := true;
        IF tats[place] - burst + seconds(one.intervals[i]) > at THEN full_limit := one.limits[i]; END IF;
      END IF;
      full_most := one.mosts[i];
      EXIT WHEN full_limit IS NOT NULL;
    END LOOP;
    IF full_limit IS NOT NULL THEN
      blocked := blocked || one.id;
      blocked_by := blocked_by || full_limit;
      blocked_mosts := blocked_mosts || full_most;
      CONTINUE;
    END IF;
    FOR i IN 1 .. cardinality(one.limits) LOOP
      place := array_position(used, one.limits[i]);
      IF one.intervals[i] IS NULL THEN
        held[place] := held[place] + 1;
      ELSE
        tats[place] := greatest(tats[place], at) + seconds(one.intervals[i]);
      END IF;
    END LOOP;
    taken := taken || one.id;
    orders := orders || one.order_at;
    ids := ids || one.workflow_id;
    EXIT WHEN cardinality(ids) >= p_most;
  END LOOP;
  IF cardinality(ids) > 0 THEN
    WITH free AS MATERIALIZED (
      SELECT e.lane_id, e.order_at, e.workflow_id
        FROM unnest(taken, orders, ids) AS t (lane_id, order_at, workflow_id)
        JOIN flow_entries AS e ON e.lane_id = t.lane_id AND e.order_at = t.order_at
                              AND e.workflow_id = t.workflow_id
         FOR UPDATE OF e SKIP LOCKED),
    gone AS (
      DELETE FROM flow_entries AS e USING free AS f
       WHERE e.lane_id = f.lane_id AND e.order_at = f.order_at AND e.workflow_id = f.workflow_id
      RETURNING e.lane_id, e.order_at, e.workflow_id, e.cost),
    held AS (
      INSERT INTO flow_turns (workflow_id, limit_id)
      SELECT g.workflow_id, u.id FROM gone AS g JOIN flow_lanes AS l ON l.id = g.lane_id
       CROSS JOIN LATERAL unnest(l.limits, l.intervals) WITH ORDINALITY AS u (id, seconds, number)
       WHERE u.seconds IS NULL
          OR u.number = 1 AND array_position(l.intervals, NULL) IS NULL
      UNION ALL
      -- A child that needs no place, because its ancestors hold them.
      SELECT g.workflow_id, 0 FROM gone AS g JOIN flow_lanes AS l ON l.id = g.lane_id
       WHERE l.limits = '{}'
      ON CONFLICT DO NOTHING),
    moved AS (
      UPDATE flow_lanes AS l SET tag = l.tag + s.cost / l.weight, changed_at = clock_timestamp(),
             rate = l.rate * exp(-least(extract(epoch FROM clock_timestamp() - l.changed_at), 600) / 60)
               + s.number / 60.0
        FROM (SELECT lane_id, sum(cost) AS cost, count(*) AS number,
                     (array_agg(cost ORDER BY order_at DESC, workflow_id DESC))[1] AS last
                FROM gone GROUP BY 1) AS s
       WHERE l.id = s.lane_id
      RETURNING l.tag - s.last / l.weight AS starts)
    SELECT coalesce((SELECT array_agg(workflow_id) FROM gone), '{}'), (SELECT max(starts) FROM moved)
      INTO workflow_ids, served_to;
    IF workflow_ids <> '{}' THEN INSERT INTO admissions (workflow_ids) VALUES (workflow_ids); END IF;
    UPDATE flow_pools SET v = served_to WHERE id = p_pool AND v < served_to;
    -- What others hold was not admitted, and has taken nothing of a throttle.
    FOR one IN
      SELECT u.id, sum(u.seconds) AS seconds FROM unnest(taken, ids) AS t (lane_id, workflow_id)
        JOIN flow_lanes AS l ON l.id = t.lane_id
       CROSS JOIN LATERAL unnest(l.limits, l.intervals) AS u (id, seconds)
       WHERE is_throttled AND t.workflow_id <> ALL (workflow_ids) AND u.seconds IS NOT NULL GROUP BY 1
    LOOP
      place := array_position(used, one.id);
      tats[place] := tats[place] - seconds(one.seconds);
    END LOOP;
  END IF;
  IF is_throttled THEN
    UPDATE flow_limits AS l SET tat = t.tat FROM unnest(used, tats) AS t (id, tat)
     WHERE l.id = t.id AND l.scope = 'throttle' AND l.tat IS DISTINCT FROM t.tat;
  END IF;
  IF blocked <> '{}' THEN
    UPDATE flow_lanes AS l SET blocked_on = b.by, blocked_most = b.most,
           blocked_tag = l.tag - p.v + (SELECT v FROM flow_limits WHERE id = b.by)
      FROM unnest(blocked, blocked_by, blocked_mosts) AS b (id, by, most), flow_pools AS p
     WHERE l.id = b.id AND p.id = p_pool;
  END IF;
  -- A lane is closed only if nobody may be adding an entry (see flow_lane_v1).
  SELECT array_agg(l.id) INTO empty FROM flow_lanes AS l
   WHERE l.id = ANY (lanes) AND l.blocked_on IS NULL
     AND NOT EXISTS (SELECT FROM flow_entries WHERE lane_id = l.id)
     AND pg_try_advisory_xact_lock(hashtext('flow lane'), hashtext(encode(l.identity, 'hex')));
  IF empty IS NOT NULL THEN
    -- A statement of its own: it sees what was committed before the locks were taken.
    UPDATE flow_lanes AS l SET is_open = false, changed_at = clock_timestamp()
     WHERE l.id = ANY (empty) AND NOT EXISTS (SELECT FROM flow_entries WHERE lane_id = l.id);
    is_closed := FOUND;
  END IF;
  -- Places that no lane of this call could use go to the lanes that wait for them.
  PERFORM wake_lanes_v1(used, p_most);
  -- What ended workflows have really cost. The last statement, and it leaves lanes that others hold for
  -- the next call: no limit of these lanes is locked here, and who holds a lane may wait for one.
  WITH due AS MATERIALIZED (
    SELECT id, lane_id, cost FROM flow_costs WHERE pool_id = p_pool ORDER BY id LIMIT p_most),
  mine AS MATERIALIZED (
    SELECT id, tag, weight FROM flow_lanes WHERE id IN (SELECT lane_id FROM due) ORDER BY id
       FOR NO KEY UPDATE SKIP LOCKED),
  corrected AS (
    DELETE FROM flow_costs AS c USING due AS d
     WHERE c.pool_id = p_pool AND c.id = d.id
       AND (d.lane_id IN (SELECT id FROM mine)
            OR NOT EXISTS (SELECT FROM flow_lanes WHERE id = d.lane_id))
    RETURNING c.lane_id, c.cost),
  moved AS (
    SELECT m.id, CASE WHEN c.cost >= 0 THEN m.tag + c.cost / m.weight
             -- A refund leaves no lane behind the virtual time, for it would be served alone until it
             -- is level. Lanes that get too much back keep their order.
             ELSE greatest(m.tag + c.cost / m.weight, least(m.tag, p.v + 0.001 * (m.tag - p.v)))
             END - m.tag AS by
      FROM (SELECT lane_id, sum(cost) AS cost FROM corrected GROUP BY 1) AS c
      JOIN mine AS m ON m.id = c.lane_id CROSS JOIN flow_pools AS p WHERE p.id = p_pool)
  UPDATE flow_lanes AS l SET tag = l.tag + m.by, blocked_tag = l.blocked_tag + m.by
    FROM moved AS m WHERE l.id = m.id;
  IF EXISTS (SELECT FROM flow_lanes WHERE pool_id = p_pool AND is_open AND blocked_on IS NULL) THEN
    verdict := CASE WHEN workflow_ids = '{}' AND is_closed IS NOT TRUE
                     AND (blocked = '{}' OR ids <> '{}')
                    THEN 'held' ELSE 'more' END;
  END IF;
  RETURN NEXT;
END $$;
