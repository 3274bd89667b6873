-- Lets the events of these workflows be announced for p_seconds, or longer if another web server has
-- said so: several servers, and several streams of one, may watch the same workflow. Nothing ends
-- this earlier. Called by the thread that serves the event streams of a web server. The caller has
-- checked that its users may read these workflows.
CREATE OR REPLACE FUNCTION watch_workflows_v1(p_workflows uuid[], p_seconds double precision)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  -- A flush would gain nothing, because the table itself does not outlast a crash.
  PERFORM set_config('synchronous_commit', 'off', true);
  INSERT INTO watched_workflows AS w (workflow_id, until)
  SELECT id, clock_timestamp() + seconds(p_seconds)
    FROM (SELECT DISTINCT unnest(p_workflows) AS id) AS watched ORDER BY id
  ON CONFLICT (workflow_id) DO UPDATE SET until = greatest(w.until, excluded.until);
END $$;
