-- The open waits that may take an event, at most p_most with ids after p_from, in the order of their
-- ids. The filters are not evaluated here. p_patterns: the types of events that take this one. Of the
-- waits that only an event with a certain value at a certain path can end, those with another value
-- are not read, however many there are.
CREATE OR REPLACE FUNCTION waits_for_event_v1(
  p_event uuid, p_patterns text[], p_from uuid, p_most integer)
RETURNS TABLE (id uuid, filter text, given jsonb, is_looked boolean) LANGUAGE plpgsql AS $$
DECLARE
  e record;
  pattern text;
  path text[];
  types text[] := '{}';
  paths text[] := '{}';
  keys jsonb[] := '{}';
  found_key jsonb;
BEGIN
  SELECT user_id, subject, data, received_at INTO e FROM incoming_events AS i WHERE i.id = p_event;
  FOREACH pattern IN ARRAY p_patterns LOOP
    path := '{}';
    found_key := 'null';
    LOOP
      IF found_key IS NOT NULL THEN
        types := types || pattern;
        paths := paths || path::text;
        keys := keys || found_key;
      END IF;
      SELECT w.key_path INTO path FROM event_waits AS w
       WHERE w.user_id = e.user_id AND w.event_type = pattern AND w.event_id IS NULL
         AND w.key_path > path ORDER BY w.key_path LIMIT 1;
      EXIT WHEN NOT FOUND;
      found_key := key_in_event_v1(e.subject, e.data, path);
      IF jsonb_typeof(found_key) NOT IN ('string', 'number') OR length(found_key::text) > 1000 THEN
        found_key := NULL;
      END IF;
    END LOOP;
  END LOOP;
  RETURN QUERY
  SELECT o.id, o.filter, o.given, o.looked_at IS NOT NULL
    FROM unnest(types, paths, keys) AS k (event_type, path, value)
   CROSS JOIN LATERAL (
     SELECT w.id, w.filter, w.given, w.looked_at FROM event_waits AS w
      WHERE w.user_id = e.user_id AND w.event_type = k.event_type AND w.event_id IS NULL
        AND w.key_path = k.path::text[] AND w.key_value = k.value AND w.id > p_from
        AND w.since <= e.received_at
        -- Not joined, so that each is looked up by its key.
        AND (SELECT s.status = 'waiting' AND s.external_id = w.external_id FROM steps AS s
              WHERE s.workflow_id = w.workflow_id AND s.key = w.step_key)
      ORDER BY w.id LIMIT p_most) AS o
   ORDER BY o.id LIMIT p_most;
END $$;
