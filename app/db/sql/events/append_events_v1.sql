-- Appends several events to one workflow's record; each of p_events is {type, step, data}. The
-- stored text, the hash chain, the lock and the announcement, of the last of them, are as in
-- append_event_v1. All events get the same time. Called for sibling steps whose outcomes are
-- recorded together, which are successes: no webhook tells of them.
CREATE OR REPLACE FUNCTION append_events_v1(p_workflow uuid, p_events jsonb[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  last_seq integer;
  last_hash bytea;
  at bigint := (extract(epoch FROM playalter_now()) * 1000000)::bigint;
  event jsonb;
  lines text[] := '{}';
  hashes bytea[] := '{}';
  line text;
BEGIN
  SELECT seq, hash INTO last_seq, last_hash FROM events
   WHERE workflow_id = p_workflow ORDER BY seq DESC LIMIT 1;
  IF NOT FOUND THEN
    last_seq := 0;
    last_hash := sha256(uuid_send(p_workflow));
  END IF;
  FOREACH event IN ARRAY p_events LOOP
    line := event_text_v1(
      last_seq + cardinality(lines) + 1, at, event ->> 'type', event ->> 'step', event -> 'data');
    last_hash := sha256(last_hash || convert_to(line, 'UTF8'));
    lines := lines || line;
    hashes := hashes || last_hash;
  END LOOP;
  INSERT INTO events (workflow_id, seq, body, hash)
  SELECT p_workflow, last_seq + n, body, hash
    FROM unnest(lines, hashes) WITH ORDINALITY AS made (body, hash, n);
  PERFORM pg_notify('watched_events', p_workflow || ' ' || (last_seq + cardinality(lines)))
     FROM watched_workflows WHERE workflow_id = p_workflow AND until > clock_timestamp();
END $$;
