-- Whether a workflow may be starting now that uses a version of a prompt by a label, which has moved
-- away from that version already: a transaction is open that began before the move. What it has
-- written cannot be seen yet. p_version: null for any version.
CREATE OR REPLACE FUNCTION prompt_may_be_started_v1(p_prompt uuid, p_version integer)
RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT EXISTS (
    SELECT FROM pg_stat_activity
     WHERE datname = current_database() AND backend_type = 'client backend'
       AND pid <> pg_backend_pid()
       AND xact_start <= (SELECT max(moved_at) FROM prompt_moves
                           WHERE prompt_id = p_prompt AND from_version IS NOT NULL
                             AND (p_version IS NULL OR from_version = p_version)))
$$;
