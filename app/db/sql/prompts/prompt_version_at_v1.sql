-- The version to which a label of a prompt pointed at a time; null if it pointed to none. The caller
-- holds the lock of the prompt (prompt_lock_v1): otherwise a move that was made before that time, and
-- commits later, would be overlooked.
CREATE OR REPLACE FUNCTION prompt_version_at_v1(p_prompt uuid, p_label text, p_at timestamptz)
RETURNS integer LANGUAGE sql STABLE AS $$
  SELECT to_version FROM prompt_moves
   WHERE prompt_id = p_prompt AND label = p_label AND moved_at <= p_at
   ORDER BY moved_at DESC LIMIT 1
$$;
