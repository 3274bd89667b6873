-- Stores that a payment of a user's organisation was seen, once. A later report adds the hashes that
-- the first one lacked; the time stays that of the first.
--
--   p_card, p_email, p_address: keyed hashes, or null if the payment has no such thing.
--   p_amount: in minor units. p_seconds: for how long rules look back.
CREATE OR REPLACE FUNCTION note_sighting_v1(
  p_user uuid, p_platform text, p_payment text, p_card bytea, p_email bytea, p_address bytea,
  p_amount bigint, p_currency text, p_seconds double precision)
RETURNS void LANGUAGE sql AS $$
  INSERT INTO payment_sightings AS s (organisation_id, platform, payment_id, card, email, address,
                                      amount, currency, seen_at, expires_at)
  SELECT organisation_id, p_platform, p_payment, p_card, p_email, p_address, p_amount, p_currency,
         playalter_now(), playalter_now() + seconds(p_seconds)
    FROM users WHERE id = p_user
  ON CONFLICT (organisation_id, platform, payment_id) DO UPDATE
     SET card = coalesce(s.card, excluded.card), email = coalesce(s.email, excluded.email),
         address = coalesce(s.address, excluded.address)
   WHERE (s.card IS NULL AND excluded.card IS NOT NULL)
      OR (s.email IS NULL AND excluded.email IS NOT NULL)
      OR (s.address IS NULL AND excluded.address IS NOT NULL)
$$;
