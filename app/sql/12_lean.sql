-- What a workflow leaves behind, made smaller: an index, foreign keys and hashes that told nothing.

-- A step's row, its events and its intents are written by functions that hold the workflow's row; to
-- look it up and lock it once more for each of them was a tenth of what they cost. The other end stays
-- guarded: what others belong to is not deleted.
ALTER TABLE events DROP CONSTRAINT events_workflow_id_fkey;
ALTER TABLE steps DROP CONSTRAINT steps_workflow_id_fkey;
ALTER TABLE intents DROP CONSTRAINT intents_workflow_id_step_key_fkey;
ALTER TABLE workflows DROP CONSTRAINT workflows_user_id_fkey;
ALTER TABLE workflows DROP CONSTRAINT workflows_type_version_fkey;

CREATE FUNCTION is_not_needed_v1() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  is_needed boolean;
BEGIN
  IF TG_TABLE_NAME = 'workflows' THEN
    is_needed := EXISTS (SELECT FROM events WHERE workflow_id = OLD.id)
      OR EXISTS (SELECT FROM steps WHERE workflow_id = OLD.id);
  ELSIF TG_TABLE_NAME = 'steps' THEN
    is_needed := EXISTS (
      SELECT FROM intents WHERE workflow_id = OLD.workflow_id AND step_key = OLD.key);
  ELSIF TG_TABLE_NAME = 'users' THEN
    is_needed := EXISTS (SELECT FROM workflows WHERE user_id = OLD.id);
  ELSE
    is_needed := EXISTS (SELECT FROM workflows WHERE type = OLD.name AND version = OLD.version);
  END IF;
  IF is_needed THEN
    RAISE EXCEPTION '% is still needed: other rows belong to %', TG_TABLE_NAME, OLD
      USING ERRCODE = 'foreign_key_violation';
  END IF;
  RETURN OLD;
END $$;
CREATE TRIGGER is_not_needed BEFORE DELETE ON workflows
  FOR EACH ROW EXECUTE FUNCTION is_not_needed_v1();
CREATE TRIGGER is_not_needed BEFORE DELETE ON steps
  FOR EACH ROW EXECUTE FUNCTION is_not_needed_v1();
CREATE TRIGGER is_not_needed BEFORE DELETE ON users
  FOR EACH ROW EXECUTE FUNCTION is_not_needed_v1();
CREATE TRIGGER is_not_needed BEFORE DELETE ON definitions
  FOR EACH ROW EXECUTE FUNCTION is_not_needed_v1();

-- A task's id begins with its workflow's, so that it is found without an index of its own. The ids of
-- before, version 5 of RFC 9562, keep one.
CREATE INDEX steps_by_old_task_id ON steps (task_id) WHERE uuid_extract_version(task_id) = 5;
DROP INDEX steps_by_task_id;
ALTER TABLE steps ALTER COLUMN task_id DROP NOT NULL;

-- An event's data without the hash of an empty payload. The input of a retry says whether there is one,
-- and stays.
CREATE FUNCTION without_empty_v1(p_type text, p_data jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE payload_hash('{}')
    WHEN p_data ->> 'output' THEN p_data - 'output'
    WHEN CASE p_type WHEN 'WorkflowStarted' THEN p_data ->> 'input' END THEN p_data - 'input'
    ELSE p_data END
$$;

-- As before, in one statement; and the hash of {} is left out where no hash means the same: most
-- control steps have nothing to say, and said it in 76 bytes.
CREATE OR REPLACE FUNCTION append_event_v1(
  p_workflow uuid, p_type text, p_step text, p_data jsonb)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO events (workflow_id, seq, body, hash)
  SELECT p_workflow, seq, line, sha256(last_hash || convert_to(line, 'UTF8'))
    FROM (SELECT coalesce(last.seq, 0) + 1 AS seq,
                 coalesce(last.hash, sha256(uuid_send(p_workflow))) AS last_hash,
                 jsonb_strip_nulls(jsonb_build_object(
                   'seq', coalesce(last.seq, 0) + 1,
                   'at', (extract(epoch FROM clock_timestamp()
                     + coalesce((SELECT amount FROM clock_offset), interval '0')) * 1000000)::bigint,
                   'type', p_type, 'step', p_step,
                   'data', without_empty_v1(p_type, p_data)))::text AS line
            FROM (VALUES (1)) AS one LEFT JOIN LATERAL (
              SELECT seq, hash FROM events WHERE workflow_id = p_workflow
               ORDER BY seq DESC LIMIT 1) AS last ON true
          OFFSET 0) AS following;
END $$;

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
    line := jsonb_strip_nulls(event || jsonb_build_object(
      'seq', last_seq + cardinality(lines) + 1, 'at', at,
      'data', without_empty_v1(event ->> 'type', event -> 'data')))::text;
    last_hash := sha256(last_hash || convert_to(line, 'UTF8'));
    lines := lines || line;
    hashes := hashes || last_hash;
  END LOOP;
  INSERT INTO events (workflow_id, seq, body, hash)
  SELECT p_workflow, last_seq + n, body, hash
    FROM unnest(lines, hashes) WITH ORDINALITY AS made (body, hash, n);
END $$;
