-- Decides whether a queue is backed up, and which of its lined-up steps are published now. Whoever
-- takes a message from a queue calls this when few messages are left in it.
--
-- p_length is the number of messages in the queue. A queue with more than p_most is backed up from
-- then on. A queue that is backed up is filled up to `level`: what the workers take in
-- p_ahead seconds, but at least p_least. The lanes of the users take turns. If no lane has entries
-- left, the queue is not backed up any more.
--
-- Returns a row for each step that the caller must publish, and one row without a key. It has
-- `level`, and whether the queue is backed up. Returns nothing if another process admits to this
-- queue at the moment. Never waits for another transaction's steps, and touches no workflow.
CREATE OR REPLACE FUNCTION admit_v1(
  p_queue text, p_length integer, p_most integer, p_least integer, p_ahead double precision,
  p_republish double precision)
RETURNS TABLE (workflow_id uuid, key text, type text, version integer, priority smallint,
               level integer, is_backed_up boolean)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  q record;
  lane record;
  served record;
  next_turn double precision;
  share integer;
  wanted integer;
  taken_per_second double precision;
  at timestamptz := clock_timestamp();
  passed double precision;
  skipped uuid[] := '{}';
  ids uuid[] := '{}';
  is_waiting boolean;
BEGIN
  IF NOT pg_try_advisory_xact_lock(hashtext('admission'), hashtext(p_queue)) THEN RETURN; END IF;
  SELECT * INTO q FROM queues WHERE name = p_queue;
  is_waiting := EXISTS (SELECT FROM lanes WHERE queue = p_queue AND is_waiting);
  IF NOT is_waiting AND p_length <= p_most AND NOT coalesce(q.is_backed_up, false) THEN
    RETURN QUERY SELECT NULL::uuid, NULL, NULL, 0, 0::smallint, p_least, false;
    RETURN;
  END IF;
  IF q IS NULL THEN
    INSERT INTO queues (name) VALUES (p_queue) RETURNING * INTO q;
  END IF;
  passed := extract(epoch FROM at - q.filled_at);
  taken_per_second := CASE WHEN passed > 0 AND q.is_backed_up
    THEN q.rate + (1 - exp(-passed)) * (greatest(q.filled_to - p_length, 0) / passed - q.rate)
    ELSE q.rate END;
  level := greatest(p_least, ceil(taken_per_second * p_ahead)::integer);
  wanted := level - p_length;
  WHILE wanted > 0 LOOP
    SELECT user_id, turn INTO lane FROM lanes
     WHERE queue = p_queue AND is_waiting AND user_id <> ALL (skipped)
     ORDER BY turn, user_id LIMIT 1;
    EXIT WHEN NOT FOUND;
    SELECT turn INTO next_turn FROM lanes
     WHERE queue = p_queue AND is_waiting AND user_id <> ALL (skipped)
       AND user_id <> lane.user_id
     ORDER BY turn, user_id LIMIT 1;
    -- A lane that has been opened since the last statement may have the lower turn.
    share := CASE WHEN FOUND
      THEN least(wanted, greatest(floor(next_turn - lane.turn)::integer, 0) + 1) ELSE wanted END;
    FOR served IN SELECT * FROM serve_lane_v1(p_queue, lane.user_id, share, p_republish) LOOP
      IF served.key IS NOT NULL THEN
        wanted := wanted - 1;
        ids := ids || served.workflow_id;
        RETURN QUERY SELECT served.workflow_id, served.key, served.type, served.version,
                            served.priority, NULL::integer, NULL::boolean;
      ELSE
        q.turn := greatest(q.turn, lane.turn);
        UPDATE lanes SET turn = lane.turn + served.gone
         WHERE queue = p_queue AND user_id = lane.user_id;
        IF served.seen < share AND close_lane_v1(p_queue, lane.user_id) OR served.gone = 0 THEN
          skipped := skipped || lane.user_id;
        END IF;
      END IF;
    END LOOP;
  END LOOP;
  IF ids <> '{}' THEN INSERT INTO admissions (workflow_ids) VALUES (ids); END IF;
  is_waiting := EXISTS (SELECT FROM lanes WHERE queue = p_queue AND is_waiting);
  -- If nothing waits and little is published, steps are published directly again.
  is_backed_up := is_waiting OR p_length > level;
  UPDATE queues SET is_backed_up = admit_v1.is_backed_up, turn = q.turn, rate = taken_per_second,
         filled_at = at, filled_to = level - wanted
   WHERE name = p_queue;
  RETURN QUERY SELECT NULL::uuid, NULL, NULL, 0, 0::smallint, level, is_backed_up;
END $$;
