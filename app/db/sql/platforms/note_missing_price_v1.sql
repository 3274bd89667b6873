-- Notes that something was used that has no price.
CREATE OR REPLACE FUNCTION note_missing_price_v1(p_platform text, p_item text, p_unit text)
RETURNS void LANGUAGE sql AS $$
  INSERT INTO price_gaps AS g (platform, item, unit) VALUES (p_platform, p_item, p_unit)
  ON CONFLICT (platform, item, unit) DO UPDATE SET noted_at = clock_timestamp()
$$;
