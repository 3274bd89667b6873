-- Lets a label of a prompt point to a version, or to none (p_version is null), and notes that. The
-- caller holds the lock of the prompt alone (prompt_lock_v1), and has checked that the version exists.
-- The clock is read under that lock. It may have been set back: the time of the move is never behind
-- the last move of the prompt, nor behind the start of a workflow that uses the prompt and has not
-- ended, which would otherwise find the move in its past.
--
-- p_most: so many moves of a prompt are kept, and those that somebody needs (see
-- trim_prompt_moves_v1).
CREATE OR REPLACE FUNCTION move_prompt_label_v1(
  p_prompt uuid, p_label text, p_version integer, p_by uuid, p_reason text, p_is_rollback boolean,
  p_most integer)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  before integer;
  used record;
  at timestamptz;
BEGIN
  SELECT version INTO before FROM prompt_labels WHERE prompt_id = p_prompt AND label = p_label;
  SELECT * INTO used FROM prompt_times_v1(p_prompt);
  SELECT greatest(clock_timestamp(), max(moved_at) + interval '1 microsecond',
                  used.latest + interval '1 microsecond') INTO at
    FROM prompt_moves WHERE prompt_id = p_prompt;
  INSERT INTO prompt_moves (prompt_id, label, from_version, to_version, moved_at, moved_by,
                            is_rollback, reason)
  VALUES (p_prompt, p_label, before, p_version, at, p_by, p_is_rollback, p_reason);
  IF p_version IS NULL THEN
    DELETE FROM prompt_labels WHERE prompt_id = p_prompt AND label = p_label;
  ELSE
    INSERT INTO prompt_labels (prompt_id, label, version, moved_at)
    VALUES (p_prompt, p_label, p_version, at)
    ON CONFLICT (prompt_id, label) DO UPDATE
       SET version = excluded.version, moved_at = excluded.moved_at;
  END IF;
  PERFORM trim_prompt_moves_v1(p_prompt, used.earliest, p_most);
END $$;
