-- Notes that something was used that has no price. p_is_counted: whether its cost was estimated; else
-- no platform has a price of the unit, and it is not in the cost.
CREATE OR REPLACE FUNCTION note_missing_price_v1(
  p_platform text, p_item text, p_unit text, p_is_counted boolean)
RETURNS void LANGUAGE sql AS $$
  INSERT INTO price_gaps AS g (platform, item, unit, is_counted)
  VALUES (p_platform, p_item, p_unit, p_is_counted)
  ON CONFLICT (platform, item, unit) DO UPDATE
     SET is_counted = excluded.is_counted, noted_at = clock_timestamp()
$$;
