-- Takes what a claimed step needs of a platform's allowance before its action runs: a place if
-- p_has_place, and p_micro_usd of the money of this hour. It takes both, of the whole and of the
-- step's organisation, or nothing. What the step has taken before counts. Accepted only from the
-- attempt whose fence (the id of its claim) is current. The workflow row is locked first, FOR NO KEY
-- UPDATE, then the allowance.
--
-- If too little is left, the attempt is over and the step is pending again; no try is counted. It
-- asks again after a pause, which grows with the time for which it has waited, up to a minute, or
-- after five minutes or when the next hour begins if nothing of the hour's money can come back. Work
-- that ends makes the step due at once (see wake_for_allowance_v1).
--
--   p_lasts: the seconds after which the platform has ended the work itself
--   p_most, p_most_own: the places of all and of the organisation; 0: any number
--   p_hourly, p_hourly_own: the micro-USD of an hour; null: any
--   p_errors: the errors that say what is used up, in the order of the limits above; p_code is the
--     code of all of them
--
-- verdicts:
--   fenced: nothing was recorded.
--   taken: the step runs.
--   recorded: the step waits.
--   draining: the workflow is stopping, so the step does not run.
CREATE OR REPLACE FUNCTION take_allowance_v1(
  p_workflow uuid, p_key text, p_fence uuid, p_platform text, p_micro_usd bigint,
  p_has_place boolean, p_lasts double precision, p_most integer, p_most_own integer,
  p_hourly bigint, p_hourly_own bigint, p_errors jsonb[], p_code text)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  whole constant uuid := '00000000-0000-0000-0000-000000000000';
  w record;
  had bigint;
  this_hour timestamptz;
  lacks integer;
  may_come_back boolean;
  is_swept boolean;
  is_true boolean;
BEGIN
  SELECT status, organisation_id INTO w FROM workflows WHERE id = p_workflow FOR NO KEY UPDATE;
  SELECT coalesce(cost, 0) INTO had FROM steps
   WHERE workflow_id = p_workflow AND key = p_key AND fence = p_fence AND status = 'running';
  IF NOT FOUND THEN RETURN 'fenced'; END IF;
  IF w.status <> 'running' THEN
    PERFORM put_off_step_v1(p_workflow, p_key, p_errors[1], p_code);
    RETURN 'draining';
  END IF;
  this_hour := lock_allowance_v1(p_platform, w.organisation_id);
  -- Only now: a sweep that ends what the step holds has the lock, too.
  PERFORM FROM allowance_holds WHERE workflow_id = p_workflow AND step_key = p_key;
  IF FOUND THEN RETURN 'taken'; END IF;
  UPDATE allowances SET most = nullif(CASE organisation_id WHEN whole THEN p_most ELSE p_most_own END, 0),
         hourly = CASE organisation_id WHEN whole THEN p_hourly ELSE p_hourly_own END
   WHERE platform = p_platform AND organisation_id IN (whole, w.organisation_id)
     AND (most IS DISTINCT FROM nullif(CASE organisation_id WHEN whole THEN p_most ELSE p_most_own END, 0)
          OR hourly IS DISTINCT FROM CASE organisation_id WHEN whole THEN p_hourly ELSE p_hourly_own END);
  LOOP
    SELECT CASE WHEN p_has_place AND a.taken >= a.most THEN 1
                WHEN p_has_place AND o.taken >= o.most THEN 2
                WHEN a.reserved + a.spent + p_micro_usd > a.hourly THEN 3
                WHEN o.reserved + o.spent + p_micro_usd > o.hourly THEN 4 END AS number,
           CASE WHEN a.reserved + a.spent + p_micro_usd > a.hourly THEN a.reserved > 0
                ELSE o.reserved > 0 END,
           coalesce(a.swept_at > clock_timestamp() - interval '1 second', false),
           coalesce(a.swept_at > clock_timestamp() - interval '1 minute', false)
      INTO lacks, may_come_back, is_swept, is_true
      FROM allowances AS a JOIN allowances AS o ON o.platform = a.platform
     WHERE a.platform = p_platform AND a.organisation_id = whole
       AND o.organisation_id = w.organisation_id;
    -- Now and then also without need, so that what is shown is true.
    EXIT WHEN is_swept OR lacks IS NULL AND is_true;
    PERFORM sweep_allowance_v1(p_platform);
  END LOOP;
  IF lacks IS NULL THEN
    INSERT INTO allowance_holds (workflow_id, step_key, platform, organisation_id, hour, micro_usd,
                                 cost_before, has_place, lasts_until)
    VALUES (p_workflow, p_key, p_platform, w.organisation_id, this_hour, p_micro_usd, had,
            p_has_place, playalter_now() + seconds(p_lasts));
    UPDATE allowances SET taken = taken + p_has_place::integer, reserved = reserved + p_micro_usd
     WHERE platform = p_platform AND organisation_id IN (whole, w.organisation_id);
    RETURN 'taken';
  END IF;
  PERFORM put_off_step_v1(
    p_workflow, p_key, p_errors[lacks], p_code,
    CASE WHEN lacks > 2 AND NOT may_come_back
         THEN least(300, extract(epoch FROM this_hour + interval '1 hour' - playalter_now()))
              + 5 * random() END,
    true);
  RETURN 'recorded';
END $$;
