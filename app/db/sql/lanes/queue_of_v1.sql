-- The queue of an action, as queue_of of app/broker/links makes it.
CREATE OR REPLACE FUNCTION queue_of_v1(p_action text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT split_part(p_action, '.', 1)
$$;
