-- Sets an operator's price of a unit of an item from a day on. What was noted as missing and has a price
-- now is not missing any more.
CREATE OR REPLACE FUNCTION set_price_v1(
  p_platform text, p_item text, p_unit text, p_tier text, p_context_over bigint, p_starts_on date,
  p_usd numeric, p_source text)
RETURNS void LANGUAGE sql AS $$
  INSERT INTO prices AS p (platform, item, unit, tier, context_over, starts_on, usd, source)
  VALUES (p_platform, p_item, p_unit, p_tier, p_context_over, p_starts_on, p_usd, p_source)
  ON CONFLICT (platform, item, unit, tier, context_over, starts_on) DO UPDATE
     SET usd = excluded.usd, source = excluded.source, set_at = clock_timestamp();
  DELETE FROM price_gaps
   WHERE platform = p_platform AND item = p_item AND unit = p_unit
     AND p_starts_on <= (playalter_now() AT TIME ZONE 'UTC')::date
$$;
