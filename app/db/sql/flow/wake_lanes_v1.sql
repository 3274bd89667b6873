-- Unblocks lanes that wait for one of the limits p_limits: as many as it has free places, in the order
-- of their tags, and at most p_most for each limit. The caller holds the rows of the limits, and a
-- lane is only blocked by who holds them too, so no lane stays blocked by a limit with free places.
-- A lane that was blocked has no claim to what it has missed.
--
-- A limit may block lanes of several pools, whose tags cannot be compared. So each limit has a virtual
-- time of its own, and a lane has a tag in it (blocked_tag): as far ahead of it as the lane was of its
-- pool's when it was blocked.
CREATE OR REPLACE FUNCTION wake_lanes_v1(p_limits bigint[], p_most integer)
RETURNS void LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off AS $$
DECLARE
  one record;
  first record;
  held bigint;
  free bigint;
  woken bigint;
  served_to double precision;
  at timestamptz := playalter_now();
  arrives timestamptz;
  opens timestamptz;
BEGIN
  FOR one IN
    SELECT l.id, l.tat, l.scope FROM flow_limits AS l
     WHERE l.id = ANY (p_limits) AND EXISTS (SELECT FROM flow_lanes WHERE blocked_on = l.id)
     ORDER BY l.id
  LOOP
    IF one.scope = 'throttle' THEN
      held := -1;
      SELECT mosts[p] AS burst, intervals[p] AS interval INTO first
        FROM flow_lanes, array_position(limits, one.id) AS p
       WHERE blocked_on = one.id ORDER BY blocked_tag, id LIMIT 1;
      -- It is never further ahead, unless the clock was set back.
      arrives := least(one.tat, at + seconds(first.burst * first.interval));
      opens := arrives - seconds((first.burst - 1) * first.interval);
      IF opens > at THEN
        UPDATE flow_limits SET tat = arrives, opens_at = opens, spacing = first.interval
         WHERE id = one.id AND opens_at IS DISTINCT FROM opens;
        CONTINUE;
      END IF;
      -- As many as may start in a tenth of a second; who admits them looks here again.
      UPDATE flow_limits SET opens_at = NULL WHERE id = one.id AND opens_at IS NOT NULL;
      free := greatest(first.burst, ceil(0.1 / first.interval));
    ELSE
      SELECT count(*) INTO held FROM flow_turns WHERE limit_id = one.id;
      SELECT blocked_most - held INTO free FROM flow_lanes
       WHERE blocked_on = one.id AND blocked_most > held ORDER BY blocked_tag, id LIMIT 1;
      CONTINUE WHEN NOT FOUND;
    END IF;
    WITH next AS MATERIALIZED (
      SELECT id, blocked_tag FROM flow_lanes WHERE blocked_on = one.id AND blocked_most > held
       ORDER BY blocked_tag, id LIMIT least(free, p_most)),
    unblocked AS (
      UPDATE flow_lanes AS l
         SET blocked_on = NULL, blocked_most = NULL, blocked_tag = NULL,
             tag = greatest(l.tag, (SELECT v FROM flow_pools WHERE id = l.pool_id))
       WHERE l.id IN (SELECT id FROM next))
    SELECT count(*), max(blocked_tag) INTO woken, served_to FROM next;
    UPDATE flow_limits SET v = served_to WHERE id = one.id AND v < served_to;
    IF woken < free AND woken = p_most THEN
      INSERT INTO flow_released (limit_id) VALUES (one.id);
    END IF;
  END LOOP;
END $$;
