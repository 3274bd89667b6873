-- Ends what steps have taken of a platform's allowance if their work is over and booked no cost: a
-- call was refused, a worker died, the platform has ended the work at the latest time. What such a
-- step may have cost counts: what it has booked, or all of its reservation if that is not known. A
-- step of unknown outcome keeps what it has taken (see may_still_cost_v1). The caller holds the lock
-- of lock_allowance_v1. Returns how many it has ended.
CREATE OR REPLACE FUNCTION sweep_allowance_v1(p_platform text) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  h record;
  ended integer := 0;
BEGIN
  UPDATE allowances SET swept_at = clock_timestamp()
   WHERE platform = p_platform AND organisation_id = '00000000-0000-0000-0000-000000000000';
  FOR h IN SELECT a.workflow_id, a.step_key, a.micro_usd,
                  greatest(coalesce(s.cost, 0) - a.cost_before, 0) AS booked,
                  may_still_cost_v1(a.workflow_id, a.step_key, s.status) AS is_open
             FROM allowance_holds AS a
             LEFT JOIN steps AS s ON s.workflow_id = a.workflow_id AND s.key = a.step_key
            WHERE a.platform = p_platform
              AND (a.lasts_until <= playalter_now()
                   OR may_still_cost_v1(a.workflow_id, a.step_key, s.status) IS NOT TRUE) LOOP
    PERFORM give_back_allowance_v1(
      h.workflow_id, h.step_key, CASE WHEN h.is_open IS FALSE THEN h.booked ELSE h.micro_usd END);
    ended := ended + 1;
  END LOOP;
  RETURN ended;
END $$;
