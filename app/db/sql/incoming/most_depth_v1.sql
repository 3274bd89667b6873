-- The number of events that may lead to an event which still starts and wakes workflows.
CREATE OR REPLACE FUNCTION most_depth_v1() RETURNS integer LANGUAGE sql IMMUTABLE AS $$
  SELECT 10
$$;
