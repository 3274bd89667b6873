-- Waits, time-outs and schedules ask playalter_now(); leases, deadlines and publish_after are real time.
CREATE FUNCTION playalter_now() RETURNS timestamptz LANGUAGE sql VOLATILE AS $$
  SELECT clock_timestamp() + coalesce((SELECT amount FROM clock_offset), interval '0')
$$;

CREATE FUNCTION clock_offset_only_in_tests() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF current_database() NOT LIKE '%test%' THEN
    RAISE EXCEPTION 'the clock can be moved in a test database only, not in %', current_database();
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER clock_offset_only_in_tests BEFORE INSERT OR UPDATE ON clock_offset
  FOR EACH ROW EXECUTE FUNCTION clock_offset_only_in_tests();

-- Evidence against everybody but the owner of the database, for whom heads are exported.
CREATE FUNCTION events_are_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'events are append-only: % refused', TG_OP;
END $$;
CREATE TRIGGER events_are_append_only BEFORE UPDATE OR DELETE ON events
  FOR EACH ROW EXECUTE FUNCTION events_are_append_only();
CREATE TRIGGER events_are_not_truncated BEFORE TRUNCATE ON events
  FOR EACH STATEMENT EXECUTE FUNCTION events_are_append_only();

-- The caller holds the workflow row FOR NO KEY UPDATE, so the newest event stays the newest.
-- What is hashed is the text that is stored: jsonb and timestamps do not come back as they went in.
CREATE FUNCTION append_event_v1(p_workflow uuid, p_type text, p_step text, p_data jsonb)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  last_seq integer;
  last_hash bytea;
  line text;
BEGIN
  SELECT seq, hash INTO last_seq, last_hash FROM events
   WHERE workflow_id = p_workflow ORDER BY seq DESC LIMIT 1;
  IF NOT FOUND THEN
    last_seq := 0;
    last_hash := sha256(uuid_send(p_workflow));
  END IF;
  line := jsonb_strip_nulls(jsonb_build_object(
    'seq', last_seq + 1,
    'at', (extract(epoch FROM playalter_now()) * 1000000)::bigint,
    'type', p_type, 'step', p_step, 'data', p_data))::text;
  INSERT INTO events (workflow_id, seq, body, hash)
  VALUES (p_workflow, last_seq + 1, line, sha256(last_hash || convert_to(line, 'UTF8')));
END $$;

-- Events carry hashes of payloads; the payloads stand in rows that can be erased.
CREATE FUNCTION payload_hash(p_payload jsonb) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT encode(sha256(convert_to(p_payload::text, 'UTF8')), 'hex')
$$;

CREATE FUNCTION seconds(p_seconds double precision) RETURNS interval LANGUAGE sql IMMUTABLE AS $$
  SELECT make_interval(secs => p_seconds)
$$;
