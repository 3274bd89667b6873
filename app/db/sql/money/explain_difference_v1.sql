-- Closes a difference, because a person has explained it. An explained one is explained anew: the last
-- word counts. Whether there is such a difference.
CREATE OR REPLACE FUNCTION explain_difference_v1(p_difference uuid, p_by text, p_note text)
RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  UPDATE ledger_differences SET explained_at = playalter_now(), explained_by = p_by, note = p_note
   WHERE id = p_difference;
  RETURN FOUND;
END $$;
