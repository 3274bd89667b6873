-- The ids of up to p_most schedules whose time to look at them has come, and of up to p_most of which a
-- workflow has ended. They are chosen by chance among the p_among that have waited longest, so that
-- several processes that fire at once rarely choose the same. Sees to the ends of workflows that need
-- no pass first (see settle_quiet_runs_v1).
--
-- Few rows are due at any time, and partial indexes have them. Statistics of another hour must not lead
-- to a scan of the whole tables.
CREATE OR REPLACE FUNCTION due_schedules_v1(p_among integer, p_most integer) RETURNS SETOF uuid
LANGUAGE plpgsql SET enable_seqscan TO off AS $$
DECLARE
  at CONSTANT timestamptz := playalter_now();
BEGIN
  PERFORM settle_quiet_runs_v1(p_among);
  RETURN QUERY
  SELECT found.id FROM (
    SELECT s.id FROM schedules AS s WHERE s.fires_at <= at ORDER BY s.fires_at LIMIT p_among) AS found
   ORDER BY random() LIMIT p_most;
  RETURN QUERY
  SELECT DISTINCT ended.schedule_id FROM (
    SELECT r.schedule_id FROM schedule_runs AS r WHERE r.is_open AND r.ended_at IS NOT NULL
     LIMIT p_most) AS ended;
END $$;
