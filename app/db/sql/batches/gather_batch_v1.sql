-- Makes a batch of lines that wait: those of one organisation for one endpoint and model of a platform,
-- the oldest first, at most p_lines lines and p_bytes bytes. Returns the batch, or null if it is not time
-- for one: fewer wait, and the oldest not for p_wait seconds yet; or if another process gathers there
-- now. Lines that their steps do not want any more are dropped; those of a paused or a stopping workflow
-- wait, and do not count: each new line would be a batch of its own beside an old one of them.
CREATE OR REPLACE FUNCTION gather_batch_v1(
  p_platform text, p_organisation uuid, p_endpoint text, p_model text, p_lines integer,
  p_bytes bigint, p_wait double precision)
RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
  made uuid;
  counted integer;
  total bigint;
BEGIN
  IF NOT pg_try_advisory_xact_lock(hashtextextended(
           concat_ws(' ', p_platform, p_organisation, p_endpoint, p_model), 17)) THEN
    RETURN NULL;
  END IF;
  UPDATE batch_lines AS l SET state = 'dropped', is_dropped = true, ended_at = playalter_now(),
         settled_at = clock_timestamp()
   WHERE platform = p_platform AND organisation_id = p_organisation AND endpoint = p_endpoint
     AND model = p_model AND state = 'waiting'
     AND NOT is_wanted_v1(workflow_id, step_key, generation);
  IF NOT coalesce((
    SELECT count(*) >= p_lines OR sum(bytes) >= p_bytes
           OR min(recorded_at) <= playalter_now() - seconds(p_wait)
      FROM batch_lines AS l JOIN workflows AS w ON w.id = l.workflow_id
     WHERE l.platform = p_platform AND l.organisation_id = p_organisation
       AND l.endpoint = p_endpoint AND l.model = p_model AND l.state = 'waiting'
       AND l.not_before <= playalter_now() AND w.status = 'running'
       AND w.paused_at IS NULL), false) THEN
    RETURN NULL;
  END IF;
  INSERT INTO batches (organisation_id, platform, endpoint, model, lines, bytes)
  VALUES (p_organisation, p_platform, p_endpoint, p_model, 0, 0) RETURNING id INTO made;
  WITH oldest AS (
    SELECT l.id, l.bytes FROM batch_lines AS l JOIN workflows AS w ON w.id = l.workflow_id
     WHERE l.platform = p_platform AND l.organisation_id = p_organisation
       AND l.endpoint = p_endpoint AND l.model = p_model AND l.state = 'waiting'
       AND l.not_before <= playalter_now() AND w.status = 'running' AND w.paused_at IS NULL
     ORDER BY l.id LIMIT p_lines FOR UPDATE OF l SKIP LOCKED),
  counted AS (
    SELECT id, row_number() OVER (ORDER BY id) AS number, sum(bytes) OVER (ORDER BY id) AS total
      FROM oldest),
  taken AS (
    UPDATE batch_lines AS l SET state = 'sent', batch_id = made, number = c.number
      FROM counted AS c WHERE c.id = l.id AND (c.number = 1 OR c.total <= p_bytes)
    RETURNING l.bytes)
  SELECT count(*), coalesce(sum(bytes), 0) INTO counted, total FROM taken;
  IF counted = 0 THEN
    DELETE FROM batches WHERE id = made;
    RETURN NULL;
  END IF;
  UPDATE batches SET lines = counted, bytes = total WHERE id = made;
  RETURN made;
END $$;
