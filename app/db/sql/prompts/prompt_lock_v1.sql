-- The number of the advisory lock of a prompt. Whoever moves a label of it, or deletes of it, takes
-- it alone; whoever needs the labels as they are takes it as a shared lock. A lock of the row would do
-- the same, but each step that uses the prompt would write that row anew.
CREATE OR REPLACE FUNCTION prompt_lock_v1(p_prompt uuid) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
  SELECT hashtextextended(p_prompt::text, 16)
$$;
