-- Decides whether a queue is backed up, and which of its lined-up steps are published now. Whoever
-- takes a message from a queue calls this when few messages are left in it.
--
-- p_length is the number of messages in the queue. A queue with more than p_most is backed up from
-- then on. A queue that is backed up is filled up to `level`. It is doubled if the workers have
-- taken everything since the queue was filled, because some of them may have found nothing, up to
-- p_most (but not more than they take in half a second: if their steps are slow, a newcomer would
-- wait for a slot behind all of these), or what they take in p_ahead seconds; it falls by one if about
-- half was left. It is never less than p_least. So a newcomer waits behind few messages, and no worker
-- for messages.
--
-- The lanes of the users take turns: those whose turns lie within one step of the lowest are served
-- together. A step moves the turn of its lane by 1 / weight. If no lane has entries left, the queue is
-- not backed up any more.
--
-- Returns a row for each step that the caller must publish, and one row without a key. It has
-- `level`, and whether the queue is backed up. Returns nothing if another process admits to this
-- queue at the moment. Never waits for another transaction's steps, and touches no workflow. The
-- work of one call is bounded, so there may be more to admit afterwards.
CREATE OR REPLACE FUNCTION admit_v1(
  p_queue text, p_length integer, p_most integer, p_least integer, p_ahead double precision,
  p_republish double precision)
RETURNS TABLE (workflow_id uuid, key text, type text, version integer, level integer,
               is_backed_up boolean)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  q record;
  lowest double precision;
  next_turn double precision;
  users uuid[];
  each_of integer;
  served record;
  wanted integer;
  taken_per_second double precision;
  at timestamptz := clock_timestamp();
  passed double precision;
  skipped uuid[] := '{}';
  ids uuid[] := '{}';
  rounds integer := 0;
  is_waiting boolean;
BEGIN
  -- The commit is not flushed. If the server crashes and loses it, the steps are admitted again, and
  -- of two messages for a step only one can claim it.
  PERFORM set_config('synchronous_commit', 'off', true);
  IF NOT pg_try_advisory_xact_lock(hashtext('admission'), hashtext(p_queue)) THEN RETURN; END IF;
  SELECT * INTO q FROM queues WHERE name = p_queue;
  is_waiting := EXISTS (SELECT FROM lanes WHERE queue = p_queue AND is_waiting);
  IF NOT is_waiting AND p_length <= p_most AND NOT coalesce(q.is_backed_up, false) THEN
    RETURN QUERY SELECT NULL::uuid, NULL, NULL, 0, p_least, false;
    RETURN;
  END IF;
  IF q IS NULL THEN
    INSERT INTO queues (name) VALUES (p_queue) ON CONFLICT DO NOTHING;
    SELECT * INTO q FROM queues WHERE name = p_queue;
  END IF;
  passed := extract(epoch FROM at - q.filled_at);
  taken_per_second := CASE WHEN passed > 0 AND q.is_backed_up
    THEN q.rate + (1 - exp(-passed)) * (greatest(q.filled_to - p_length, 0) / passed - q.rate)
    ELSE q.rate END;
  level := greatest(p_least, CASE
    WHEN NOT q.is_backed_up THEN 0
    WHEN p_length = 0 AND q.filled_to > 0
      THEN least(q.level * 2, greatest(least(p_most, ceil(taken_per_second / 2)::integer),
                                       ceil(taken_per_second * p_ahead)::integer))
    WHEN p_length * 2 >= q.level - 1 THEN q.level - 1
    ELSE q.level END);
  wanted := level - p_length;
  WHILE wanted > 0 AND rounds < 30 LOOP
    rounds := rounds + 1;
    SELECT min(turn) INTO lowest FROM lanes
     WHERE queue = p_queue AND is_waiting AND user_id <> ALL (skipped);
    EXIT WHEN lowest IS NULL;
    SELECT array_agg(user_id) INTO users FROM (
      SELECT user_id FROM lanes
       WHERE queue = p_queue AND is_waiting AND turn < lowest + 1 AND user_id <> ALL (skipped)
       ORDER BY turn, user_id LIMIT wanted) AS found;
    -- A lane that is alone, or far behind the others, is served until it reaches the next.
    each_of := 1;
    IF cardinality(users) = 1 THEN
      SELECT min(turn) INTO next_turn FROM lanes
       WHERE queue = p_queue AND is_waiting AND user_id <> ALL (skipped || users);
      each_of := CASE WHEN next_turn IS NULL THEN wanted
                      ELSE least(wanted, greatest(floor((next_turn - lowest) * (
                        SELECT weight FROM lanes WHERE queue = p_queue AND user_id = users[1]
                        ))::integer, 0) + 1) END;
    END IF;
    FOR served IN SELECT * FROM serve_lanes_v1(p_queue, users, each_of, wanted, p_republish) LOOP
      IF served.key IS NOT NULL THEN
        ids := ids || served.workflow_id;
        RETURN QUERY SELECT served.workflow_id, served.key, served.type, served.version,
                            NULL::integer, NULL::boolean;
        CONTINUE;
      END IF;
      wanted := wanted - served.admitted;
      IF served.admitted > 0 THEN
        UPDATE lanes SET turn = turn + served.admitted / weight
         WHERE queue = p_queue AND user_id = served.user_id;
      END IF;
      IF served.seen < each_of THEN PERFORM close_lane_v1(p_queue, served.user_id); END IF;
      IF served.gone = 0 THEN
        -- It is empty, or others hold its steps.
        skipped := skipped || served.user_id;
      END IF;
    END LOOP;
    q.turn := greatest(q.turn, lowest);
  END LOOP;
  IF ids <> '{}' THEN INSERT INTO admissions (workflow_ids) VALUES (ids); END IF;
  is_waiting := EXISTS (SELECT FROM lanes WHERE queue = p_queue AND is_waiting);
  -- If nothing waits and little is published, steps are published directly again.
  is_backed_up := is_waiting OR p_length > level;
  UPDATE queues SET is_backed_up = admit_v1.is_backed_up, turn = q.turn, rate = taken_per_second,
         level = admit_v1.level, filled_at = at, filled_to = admit_v1.level - wanted
   WHERE name = p_queue;
  RETURN QUERY SELECT NULL::uuid, NULL, NULL, 0, level, is_backed_up;
END $$;
