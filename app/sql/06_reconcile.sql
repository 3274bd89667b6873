-- One shared row: a beat that is late by 10 s means that everything stood still (PostgreSQL was
-- away, say), and then no lease is expired for one lease length: else all that runs is doubled.
CREATE FUNCTION reconciler_beat_v1(p_lease double precision) RETURNS boolean
LANGUAGE sql AS $$
  INSERT INTO reconciler_beat AS b (is_only, beat_at, grace_until)
  VALUES (true, clock_timestamp(), clock_timestamp() + seconds(p_lease))
  ON CONFLICT (is_only) DO UPDATE SET
    grace_until = CASE WHEN b.beat_at < clock_timestamp() - interval '10 seconds'
                       THEN clock_timestamp() + seconds(p_lease) ELSE b.grace_until END,
    beat_at = clock_timestamp()
  RETURNING clock_timestamp() >= grace_until
$$;

-- One workflow put right: expired leases, due polls, due steps won for publishing, and the next time
-- to look. Returns no row when somebody else has the workflow. Only here is next_wake_at raised.
-- p_doubtful: actions whose open intents only a lookup can settle.
-- p_backed_up: platforms whose queues are long.
CREATE FUNCTION reconcile_workflow_v1(
  p_workflow uuid, p_may_expire boolean, p_doubtful text[], p_backed_up text[],
  p_republish double precision, p_max_crashes integer)
RETURNS TABLE (status text, won text[], timed_out boolean, expired integer)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  w record;
  s record;
  due text[];
  copies text[];
  expired_count integer := 0;
  earliest timestamptz;
  shift interval := playalter_now() - clock_timestamp();
BEGIN
  SELECT status, paused_at, expires_at, completed_at, attention INTO w
    FROM workflows WHERE id = p_workflow FOR NO KEY UPDATE SKIP LOCKED;
  IF NOT FOUND OR w.completed_at IS NOT NULL THEN RETURN; END IF;

  IF p_may_expire THEN
    FOR s IN SELECT key, fence, crashes, undo, action FROM steps
              WHERE workflow_id = p_workflow AND status = 'running'
                AND lease_until < clock_timestamp() ORDER BY key LOOP
      IF expire_lease_v1(p_workflow, s.key, s.fence,
           NOT s.undo AND s.action = ANY (p_doubtful) AND EXISTS (
             SELECT FROM intents i WHERE i.workflow_id = p_workflow AND i.step_key = s.key
                AND i.resolution IS NULL)) THEN
        expired_count := expired_count + 1;
        IF s.crashes + 1 >= p_max_crashes THEN
          UPDATE steps SET wake_at = playalter_now() + interval '1 hour'
           WHERE workflow_id = p_workflow AND key = s.key;
          PERFORM call_person_v1(p_workflow, s.key, 'crashing');
        END IF;
      END IF;
    END LOOP;
  END IF;

  IF w.paused_at IS NULL AND w.status = 'running' THEN
    -- Time to ask the platform: a lost webhook must not matter.
    UPDATE steps SET status = 'pending', wake_at = NULL, publish_after = clock_timestamp()
     WHERE workflow_id = p_workflow AND status = 'waiting' AND wake_at <= playalter_now();
  END IF;
  IF w.paused_at IS NULL AND w.status IN ('running', 'compensating') THEN
    -- A retry, a poll or an undo that comes due has no message out; what was published before may
    -- still stand in a long queue, and a copy would only stand behind it.
    SELECT array_agg(key) FILTER (WHERE NOT is_copy),
           array_agg(key) FILTER (WHERE is_copy) INTO due, copies
      FROM (SELECT key, wake_at IS NULL AND claims = 0 AND NOT undo
                   AND split_part(action, '.', 1) = ANY (p_backed_up) AS is_copy
      FROM steps
     WHERE workflow_id = p_workflow AND status IN ('pending', 'unknown')
       AND publish_after <= clock_timestamp()
       AND (wake_at IS NULL OR wake_at <= playalter_now())
       AND (w.status = 'running' OR undo OR status = 'unknown')) AS found;
    PERFORM win_publish_v1(p_workflow, copies, p_republish);
    due := win_publish_v1(p_workflow, due, p_republish);
  END IF;

  SELECT min(CASE status WHEN 'running' THEN lease_until + shift
                         WHEN 'waiting' THEN wake_at
                         ELSE greatest(publish_after + shift, coalesce(wake_at, '-infinity')) END)
    INTO earliest FROM steps
   WHERE workflow_id = p_workflow
     AND (status IN ('running', 'waiting') OR status IN ('pending', 'unknown')
          AND publish_after IS NOT NULL)
     AND (w.status = 'running' OR undo OR status <> 'waiting');
  IF w.paused_at IS NOT NULL THEN earliest := playalter_now() + interval '1 hour'; END IF;
  earliest := least(coalesce(earliest, playalter_now() + CASE WHEN w.attention IS NULL
                      THEN interval '5 seconds' ELSE interval '5 minutes' END),
                    CASE WHEN w.status = 'running' THEN w.expires_at END);
  UPDATE workflows SET next_wake_at = greatest(earliest, playalter_now() + interval '1 second')
   WHERE id = p_workflow;
  RETURN QUERY SELECT w.status, coalesce(due, '{}'),
    w.status = 'running' AND coalesce(w.expires_at <= playalter_now(), false), expired_count;
END $$;
