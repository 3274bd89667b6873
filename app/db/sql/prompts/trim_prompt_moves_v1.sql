-- Deletes moves of a prompt's labels over the newest p_most, so that they do not grow without bound.
-- Kept beside those are the newest move of each label that there is, and what the workflows need that
-- have not ended: p_since is the earliest of their times, null if there is none. For an earlier time,
-- the oldest move that is kept tells to what its label pointed before it (see prompt_version_at_v1).
-- The caller holds the lock of the prompt alone (prompt_lock_v1).
CREATE OR REPLACE FUNCTION trim_prompt_moves_v1(
  p_prompt uuid, p_since timestamptz, p_most integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  newest bigint;
BEGIN
  SELECT id INTO newest FROM prompt_moves WHERE prompt_id = p_prompt
   ORDER BY id DESC OFFSET p_most LIMIT 1;
  IF NOT FOUND THEN RETURN; END IF;
  DELETE FROM prompt_moves AS m
   WHERE prompt_id = p_prompt AND id <= newest AND moved_at <= coalesce(p_since, 'infinity')
     AND (EXISTS (SELECT FROM prompt_moves AS next
                   WHERE next.prompt_id = p_prompt AND next.label = m.label AND next.id > m.id
                     AND next.moved_at <= coalesce(p_since, 'infinity'))
          OR NOT EXISTS (SELECT FROM prompt_labels AS l
                          WHERE l.prompt_id = p_prompt AND l.label = m.label)
             AND m.to_version IS NULL);
END $$;
