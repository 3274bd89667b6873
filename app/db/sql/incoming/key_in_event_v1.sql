-- The value at a path in an event, which begins with `data` or `subject`; null if there is none.
CREATE OR REPLACE FUNCTION key_in_event_v1(p_subject text, p_data jsonb, p_path text[])
RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN p_path = '{subject}' THEN to_jsonb(p_subject)
              WHEN p_path[1] = 'data' THEN p_data #> p_path[2:] END
$$;
