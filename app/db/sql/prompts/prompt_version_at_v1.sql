-- The version to which a label of a prompt pointed at a time; null if it pointed to none. For a time
-- before the oldest move of the label that is kept, it is the version before that move. The caller
-- holds the lock of the prompt (prompt_lock_v1): otherwise a move that was made before that time, and
-- commits later, would be overlooked.
CREATE OR REPLACE FUNCTION prompt_version_at_v1(p_prompt uuid, p_label text, p_at timestamptz)
RETURNS integer LANGUAGE sql STABLE AS $$
  SELECT version
    FROM ((SELECT to_version AS version, 1 AS place FROM prompt_moves
            WHERE prompt_id = p_prompt AND label = p_label AND moved_at <= p_at
            ORDER BY moved_at DESC LIMIT 1)
          UNION ALL
          (SELECT from_version, 2 FROM prompt_moves
            WHERE prompt_id = p_prompt AND label = p_label AND p_at IS NOT NULL
            ORDER BY moved_at LIMIT 1)) AS found
   ORDER BY place LIMIT 1
$$;
