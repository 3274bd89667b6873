-- Repairs one workflow: ends expired leases, makes waits pending whose poll is due, selects the due
-- steps to publish, and sets the next time to look at the workflow (next_wake_at). For a workflow
-- that has ended it looks only at its orphans (effects at a platform that no step owns). Called by
-- the reconciler for each workflow that is due.
--
-- A workflow that was deferred is only looked at: the caller begins it if its status is pending, unless
-- it has waited too long (`timed_out`).
--
-- The time-out of a workflow counts from the start of its first step: before that, it may have waited
-- for a long time in a lane. expires_at is corrected here, once, when it has passed. The starts are real
-- times, and the clock may have been moved between them (see moved_time).
--
-- Returns no row if another transaction holds the workflow row, which is locked FOR NO KEY UPDATE
-- SKIP LOCKED. The steps are read in statements after that lock. The caller publishes the steps in
-- `won`, stops the workflow if it is `timed_out`, and stops the workflow `over_budget`: the one whose
-- budget is exceeded, which is this one or one above it.
--
--   p_may_expire: false if workers may have been unable to renew their leases (see
--     reconciler_beat_v1); then no lease is ended.
--   p_doubtful: actions whose open calls (calls of unknown outcome) must not simply be sent again.
--   p_queues, p_oldest: the queues that have messages, and when the oldest message of each was
--     published.
CREATE OR REPLACE FUNCTION reconcile_workflow_v1(
  p_workflow uuid, p_may_expire boolean, p_doubtful text[], p_queues text[],
  p_oldest timestamptz[], p_republish double precision)
RETURNS TABLE (status text, won text[], timed_out boolean, over_budget uuid, expired integer)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  w record;
  s record;
  due text[];
  copies text[];
  expired_count integer := 0;
  earliest timestamptz;
  begun timestamptz;
  is_lined_up boolean := false;
  is_to_remind boolean;
  shift interval := playalter_now() - clock_timestamp();
BEGIN
  SELECT status, paused_at, expires_at, completed_at, attention, starts_at, started_at, begun_at, flow,
         lane_id, priority, created_at,
         CASE WHEN budget_id IS NOT NULL THEN exceeded_budget_v1(p_workflow, budget_id) END AS exceeded INTO w
    FROM workflows WHERE id = p_workflow FOR NO KEY UPDATE SKIP LOCKED;
  IF NOT FOUND THEN RETURN; END IF;

  IF w.status = 'pending' THEN
    UPDATE workflows SET next_wake_at = greatest(
             least(CASE WHEN w.paused_at IS NOT NULL THEN playalter_now() + interval '1 hour'
                        WHEN w.starts_at > playalter_now() THEN w.starts_at
                        -- Who admits it looks at it.
                        WHEN w.flow IS NOT NULL AND EXISTS (
                          SELECT FROM flow_entries AS e
                           WHERE e.lane_id = w.lane_id AND e.workflow_id = p_workflow
                             AND e.order_at = order_in_flow(w.created_at, w.starts_at, w.priority, w.flow))
                          THEN playalter_now() + interval '1 hour'
                        ELSE playalter_now() + seconds(p_republish) END,
                   w.expires_at), playalter_now() + interval '1 second')
     WHERE id = p_workflow;
    RETURN QUERY SELECT w.status, '{}'::text[], coalesce(w.expires_at <= playalter_now(), false),
                        NULL::uuid, 0;
    RETURN;
  END IF;

  IF p_may_expire THEN
    FOR s IN SELECT key, fence, crashes, kind, action FROM steps
              WHERE workflow_id = p_workflow AND status = 'running'
                AND lease_until < clock_timestamp() ORDER BY key LOOP
      IF expire_lease_v1(p_workflow, s.key, s.fence,
           s.kind = 'step' AND s.action = ANY (p_doubtful) AND EXISTS (
             SELECT FROM intents i WHERE i.workflow_id = p_workflow AND i.step_key = s.key
                AND i.resolution IS NULL)) THEN
        expired_count := expired_count + 1;
        IF is_crashing_v1(s.crashes + 1) THEN
          UPDATE steps SET wake_at = playalter_now() + interval '1 hour'
           WHERE workflow_id = p_workflow AND key = s.key;
          PERFORM call_person_v1(p_workflow, s.key, 'crashing');
        END IF;
      END IF;
    END LOOP;
  END IF;

  -- A store that works again sends no message, nor does an approval that has been decided, so the
  -- reconciler checks here whether a step still needs a person. The list of actions is empty: if an unknown call needs a person, each of its
  -- lookups marks the workflow again.
  IF w.attention IN ('store_unavailable', 'platform_refuses', 'approver_unknown') THEN
    PERFORM settle_attention_v1(p_workflow, '{}');
  END IF;

  IF w.completed_at IS NOT NULL
     OR w.paused_at IS NULL AND w.status IN ('running', 'compensating') THEN
    -- Make a waiting step pending if its poll is due, which replaces a lost webhook, or if its wait
    -- ends now.
    UPDATE steps SET status = 'pending', wake_at = NULL, publish_after = '-infinity'
     WHERE workflow_id = p_workflow AND status = 'waiting' AND wake_at <= playalter_now()
       AND (w.status = 'running' OR kind <> 'step');
    -- A step that is lined up has an entry in a lane. It would wait for ever without one.
    UPDATE steps SET publish_after = '-infinity'
     WHERE workflow_id = p_workflow AND status = 'pending' AND publish_after = 'infinity'
       AND NOT has_lane_entry_v1(p_workflow, key, action);
    -- A step without wake_at was published, and nobody has claimed it since. If the oldest message
    -- of its queue is older than that, its own may be behind it, and a copy would only wait too. If
    -- not, its message is lost: a worker that was killed had fetched it, say. The clocks of
    -- PostgreSQL and of who publishes may differ by 5 seconds.
    SELECT array_agg(key) FILTER (WHERE is_copy IS NOT TRUE),
           array_agg(key) FILTER (WHERE is_copy) INTO due, copies
      FROM (SELECT key, wake_at IS NULL AND kind <> 'orphan_undo'
                   AND publish_after - seconds(p_republish) + interval '5 seconds'
                       >= p_oldest[array_position(p_queues, queue_of_v1(action))] AS is_copy
      FROM steps
     WHERE workflow_id = p_workflow AND status IN ('pending', 'unknown')
       AND publish_after <= clock_timestamp()
       AND (wake_at IS NULL OR wake_at <= playalter_now())
       AND (w.status = 'running' OR kind <> 'step' OR status = 'unknown')
       AND (w.completed_at IS NULL OR kind = 'orphan_undo')) AS found;
    due := win_publish_v1(p_workflow, due, p_republish);
  END IF;
  IF w.completed_at IS NOT NULL THEN
    RETURN QUERY SELECT w.status, coalesce(due, '{}'), false, NULL::uuid, expired_count;
    RETURN;
  END IF;

  IF w.status = 'running' AND w.begun_at IS NULL AND w.expires_at <= playalter_now() THEN
    SELECT min(started_at), coalesce(bool_or(status = 'pending' AND publish_after = 'infinity'), false)
      INTO begun, is_lined_up
      FROM steps WHERE workflow_id = p_workflow AND adopted_from IS NULL;
    IF begun IS NOT NULL THEN
      is_lined_up := false;
      UPDATE workflows SET begun_at = begun,
             expires_at = expires_at
               + greatest(moved_time(begun) - moved_time(started_at), interval '0')
       WHERE id = p_workflow RETURNING expires_at INTO w.expires_at;
    END IF;
  END IF;

  SELECT min(CASE WHEN status = 'running' THEN lease_until + shift
                  WHEN status = 'waiting'
                    THEN least(wake_at, remind_at[coalesce(reminded, 0) + 1])
                  WHEN key = ANY (copies) THEN playalter_now() + seconds(p_republish)
                         ELSE CASE WHEN publish_after < 'infinity'
                           THEN greatest(publish_after + shift, coalesce(wake_at, '-infinity'))
                           ELSE playalter_now() + interval '1 hour' END END),
         bool_or(status = 'waiting' AND remind_at[coalesce(reminded, 0) + 1] <= playalter_now())
    INTO earliest, is_to_remind FROM steps
   WHERE workflow_id = p_workflow
     AND (status IN ('running', 'waiting') OR status IN ('pending', 'unknown')
          AND publish_after IS NOT NULL)
     AND (w.status = 'running' OR kind <> 'step' OR status <> 'waiting');
  IF w.paused_at IS NOT NULL THEN
    earliest := playalter_now() + interval '1 hour';
  ELSIF is_to_remind AND coalesce(w.expires_at > playalter_now(), true) THEN
    -- The workflow is due still, and is looked at again for what comes after these reminders.
    PERFORM remind_approvals_v1(p_workflow);
  END IF;
  earliest := least(coalesce(earliest, playalter_now() + CASE WHEN w.attention IS NULL
                      THEN interval '5 seconds' ELSE interval '5 minutes' END),
                    -- The longer it has waited, the less often it is looked at.
                    CASE WHEN is_lined_up THEN playalter_now() + greatest(
                           (clock_timestamp() - w.started_at) / 10, interval '1 minute')
                         WHEN w.status = 'running' THEN w.expires_at END);
  UPDATE workflows SET next_wake_at = greatest(earliest, playalter_now() + interval '1 second')
   WHERE id = p_workflow;
  RETURN QUERY SELECT w.status, coalesce(due, '{}'),
    w.status = 'running' AND NOT is_lined_up AND coalesce(w.expires_at <= playalter_now(), false),
    CASE WHEN w.status = 'running' THEN w.exceeded END, expired_count;
END $$;
