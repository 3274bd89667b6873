-- Records a difference between the ledger and a platform's statement, once. Whether it is new.
CREATE OR REPLACE FUNCTION note_difference_v1(
  p_day date, p_kind text, p_about text, p_platform text, p_ours bigint, p_ours_currency text,
  p_theirs bigint, p_theirs_currency text, p_external_id text)
RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO ledger_differences (day, kind, about, platform, ours, ours_currency, theirs,
                                  theirs_currency, external_id)
  VALUES (p_day, p_kind, p_about, p_platform, p_ours, p_ours_currency, p_theirs, p_theirs_currency,
          p_external_id)
  ON CONFLICT (about, kind) DO NOTHING;
  RETURN FOUND;
END $$;
