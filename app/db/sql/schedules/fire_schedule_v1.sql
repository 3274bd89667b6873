-- Decides what becomes of the times of one schedule that are due, and of its starts that wait, and
-- starts workflows. The caller has computed the times and prepared the workflows before; it publishes
-- them after the commit. If its process dies in between, the reconciler publishes them.
--
-- verdicts:
--   fired: with a row for each workflow that was started (`start` is the verdict of
--     start_workflow_v1) and for each manual start, or one row without a run
--   busy: another pass holds the schedule. changed: it has changed since the caller has read it.
--     Nothing was done.
--
--   p_spec_version, p_seen_to, p_backfill_from: as the caller has read them
--   p_new_seen_to, p_next, p_next_due: what it has computed from them
--   p_missed, p_missed_at: how many times were too late, and the last of them
--   p_new: [{kind, nominal_at, overlap, expires_at, request_id, is_replaced, start}], in order, those of
--     a backfill last. is_replaced: a later one of them takes its place
--   p_waiting: [{run, start}], for those runs that wait that may be started now
--   p_backfill, p_backfill_to: the backfill of which p_new has a part, and how far this part goes
--   start: {prepared_id, version, input, key, hash, timeout, steps, budget, artifacts, asks, flow, wanted}, or
--     {refused, detail} if the definition does not take the input, or null. A run that may start and
--     has no `start` waits for the next pass, within a second.
--
-- Regular and manual starts go before those of backfills, and a backfill fills at most half of the
-- places (see schedule_queue_v1, wait_or_skip_v1 and end_pass_v1).
--
-- This locks only the row of the schedule, and no existing workflow: those that must stop are added to
-- schedule_stops. Compensating workflows count as running.
CREATE OR REPLACE FUNCTION fire_schedule_v1(
  p_schedule uuid, p_spec_version integer, p_seen_to timestamptz, p_new_seen_to timestamptz,
  p_next timestamptz, p_next_due timestamptz, p_missed bigint, p_missed_at timestamptz, p_new jsonb,
  p_waiting jsonb, p_backfill bigint, p_backfill_from timestamptz, p_backfill_to timestamptz,
  p_republish double precision)
RETURNS TABLE (verdict text, run bigint, outcome text, reason text, workflow_id uuid, start text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  at CONSTANT timestamptz := playalter_now();
  s schedules;
  item record;
  has_ended boolean;
  is_running boolean;
  is_own_running boolean;
  waiting integer;
  kept_own integer := 0;
  kept_of_backfill integer := 0;
  again boolean := false;
  is_next boolean;
  is_told boolean := false;
  refusals integer;
  fates text[] := '{}';
  gone_kinds text[] := '{}';
  gone_at timestamptz[] := '{}';
  gone_fates text[] := '{}';
  gone_reasons text[] := '{}';
BEGIN
  SELECT * INTO s FROM schedules AS of WHERE of.id = p_schedule FOR NO KEY UPDATE SKIP LOCKED;
  verdict := CASE WHEN NOT FOUND THEN 'busy'
    WHEN s.spec_version <> p_spec_version OR s.seen_to <> p_seen_to
      OR p_backfill IS NOT NULL AND NOT EXISTS (
        SELECT FROM schedule_backfills AS b
         WHERE b.id = p_backfill AND b.ended_at IS NULL AND b.done_to = p_backfill_from)
    THEN 'changed' ELSE 'fired' END;
  IF verdict <> 'fired' THEN
    RETURN NEXT;
    RETURN;
  END IF;
  SELECT bool_or(r.ended_at IS NOT NULL) IS TRUE,
         bool_or(r.outcome = 'started' AND r.ended_at IS NULL) IS TRUE,
         bool_or(r.outcome = 'started' AND r.ended_at IS NULL AND r.kind <> 'backfill') IS TRUE,
         count(*) FILTER (WHERE r.outcome = 'buffered')
    INTO has_ended, is_running, is_own_running, waiting
    FROM schedule_runs AS r WHERE r.schedule_id = p_schedule AND r.is_open;
  IF has_ended THEN
    waiting := waiting - settle_runs_v1(p_schedule, s.pauses_on_failure);
    SELECT * INTO s FROM schedules AS of WHERE of.id = p_schedule;
  END IF;
  refusals := s.refused_in_row;
  IF p_missed > 0 THEN
    INSERT INTO schedule_runs (schedule_id, kind, nominal_at, times, outcome, reason, is_open)
    VALUES (p_schedule, 'regular', p_missed_at, p_missed, 'missed', 'too_late', false);
  END IF;

  FOR item IN
    SELECT * FROM schedule_queue_v1(p_schedule, s.overlap, p_new, p_waiting, waiting > 0)
  LOOP
    is_next := false;
    outcome := NULL;
    reason := NULL;
    workflow_id := NULL;
    start := NULL;
    IF item.expires_at < at THEN
      outcome := 'missed';
      reason := 'too_late';
    ELSIF s.paused_at IS NOT NULL AND item.kind = 'regular' THEN
      outcome := 'dropped';
      reason := 'paused';
    ELSIF item.is_replaced THEN
      outcome := 'replaced';
      reason := 'later_time';
    ELSE
      IF is_running AND item.policy IN ('cancel_other', 'terminate_other') THEN
        INSERT INTO schedule_stops (workflow_id, schedule_id, overlap)
        SELECT r.workflow_id, p_schedule, item.policy FROM schedule_runs AS r
          JOIN workflows AS w ON w.id = r.workflow_id AND w.status IN ('pending', 'running')
         WHERE r.schedule_id = p_schedule AND r.is_open AND r.outcome = 'started'
        ON CONFLICT DO NOTHING;
      END IF;
      IF item.policy IN ('allow_all', 'terminate_other') OR NOT is_running THEN
        IF item.refused IS NOT NULL THEN
          outcome := 'refused';
          reason := item.refused;
        ELSIF item.start IS NULL THEN
          -- It is the next to start, so for those after it something runs.
          outcome := 'buffered';
          again := true;
          is_next := true;
          is_running := is_running OR item.policy <> 'allow_all';
          is_own_running := is_own_running OR is_running AND item.kind <> 'backfill';
        ELSE
          SELECT made.verdict, made.id INTO start, workflow_id
            FROM start_run_v1(s.user_id, s.type, s.priority, p_republish, item.start) AS made;
          outcome := 'started';
          IF start IN ('known', 'live') THEN
            outcome := 'skipped';
            reason := CASE start WHEN 'known' THEN 'already_started' ELSE 'singleton' END;
            workflow_id := NULL;
          ELSIF start IN ('full', 'rate_limited') THEN
            outcome := 'dropped';
            reason := CASE start WHEN 'full' THEN 'lane_full' ELSE 'rate_limited' END;
            workflow_id := NULL;
          ELSE
            is_running := true;
            is_own_running := is_own_running OR item.kind <> 'backfill';
          END IF;
        END IF;
      ELSE
        SELECT w.outcome, w.reason INTO outcome, reason
          FROM wait_or_skip_v1(item.policy, item.kind, item.id IS NOT NULL, is_own_running, waiting,
            CASE item.kind WHEN 'backfill' THEN kept_of_backfill ELSE kept_own END) AS w;
      END IF;
    END IF;

    waiting := waiting + (outcome = 'buffered')::integer - (item.id IS NOT NULL)::integer;
    IF outcome = 'buffered' THEN
      kept_of_backfill := kept_of_backfill + (NOT is_next AND item.kind = 'backfill')::integer;
      kept_own := kept_own + (NOT is_next AND item.kind <> 'backfill')::integer;
    ELSE fates := fates || outcome;
    END IF;
    IF item.kind = 'regular' AND outcome IN ('started', 'refused') THEN
      refusals := CASE outcome WHEN 'refused' THEN refusals + 1 ELSE 0 END;
    END IF;
    run := item.id;
    IF run IS NOT NULL THEN
      UPDATE schedule_runs AS r SET outcome = fire_schedule_v1.outcome, reason = fire_schedule_v1.reason,
             detail = item.detail, workflow_id = fire_schedule_v1.workflow_id,
             is_open = fire_schedule_v1.outcome = 'started', decided_at = clock_timestamp()
       WHERE r.id = run AND fire_schedule_v1.outcome <> 'buffered';
    ELSIF item.kind <> 'manual' AND outcome IN ('skipped', 'missed', 'dropped', 'replaced') THEN
      gone_kinds := gone_kinds || item.kind;
      gone_at := gone_at || item.nominal_at;
      gone_fates := gone_fates || outcome;
      gone_reasons := gone_reasons || reason;
    ELSE
      INSERT INTO schedule_runs (schedule_id, kind, nominal_at, overlap, expires_at, request_id,
                                 outcome, reason, detail, workflow_id, is_open)
      VALUES (p_schedule, item.kind, item.nominal_at, item.overlap, item.expires_at, item.request_id,
              outcome, reason, item.detail, workflow_id, outcome IN ('started', 'buffered'))
      RETURNING id INTO run;
    END IF;
    IF outcome = 'started' OR item.kind = 'manual' THEN
      is_told := true;
      RETURN NEXT;
    END IF;
  END LOOP;

  IF cardinality(gone_at) > 0 THEN
    INSERT INTO schedule_runs (schedule_id, kind, nominal_at, times, outcome, reason, is_open)
    SELECT p_schedule, g.kind, max(g.at), count(*), g.fate, g.why, false
      FROM unnest(gone_kinds, gone_at, gone_fates, gone_reasons) AS g (kind, at, fate, why)
     GROUP BY g.kind, g.fate, g.why ORDER BY max(g.at);
  END IF;
  PERFORM end_pass_v1(p_schedule, at, p_new_seen_to, p_next, p_next_due, p_missed, fates, waiting, again,
                      refusals, p_backfill, p_backfill_to);
  IF NOT is_told THEN
    run := NULL;
    outcome := NULL;
    reason := NULL;
    workflow_id := NULL;
    start := NULL;
    RETURN NEXT;
  END IF;
END $$;
