-- The number of the advisory lock of a version of a definition. Whoever starts a workflow of the
-- version takes it as a shared lock; whoever retires or deletes the version takes it alone, and so
-- waits for the starts in progress and lets none pass. A lock of the version's row would do the
-- same, but every start would write that row anew, and the last reader of it to the log.
CREATE OR REPLACE FUNCTION definition_lock_v1(p_name text, p_version integer) RETURNS bigint
LANGUAGE sql IMMUTABLE AS $$
  SELECT hashtextextended(p_name || ' ' || p_version, 2)
$$;
