-- How many payments of a user's organisation were seen with the card, the e-mail address or the postal
-- address of one of them, that one included, and what they amount to in its currency. One row for each
-- rule, in order: p_kinds says of which of the three it is, p_seconds how far it looks back.
--
-- Each payment is stored, and committed, before it is counted. So of payments that come at the same
-- moment, each that is counted last sees all the others: no more than a rule allows pass unseen.
CREATE OR REPLACE FUNCTION tally_sightings_v1(
  p_user uuid, p_platform text, p_payment text, p_kinds text[], p_seconds double precision[])
RETURNS TABLE (number bigint, total numeric) LANGUAGE plpgsql STABLE AS $$
DECLARE
  own record;
  rule record;
BEGIN
  SELECT s.* INTO own FROM payment_sightings AS s JOIN users AS u USING (organisation_id)
   WHERE u.id = p_user AND s.platform = p_platform AND s.payment_id = p_payment;
  FOR rule IN SELECT * FROM unnest(p_kinds, p_seconds) AS r (kind, seconds) LOOP
    -- A query for each kind, so that each reads its own index.
    IF rule.kind = 'card' THEN
      SELECT count(*), coalesce(sum(amount) FILTER (WHERE currency = own.currency), 0)
        INTO number, total FROM payment_sightings AS s
       WHERE s.card = own.card AND s.organisation_id = own.organisation_id
         AND s.platform = p_platform AND s.seen_at > playalter_now() - seconds(rule.seconds);
    ELSIF rule.kind = 'email' THEN
      SELECT count(*), coalesce(sum(amount) FILTER (WHERE currency = own.currency), 0)
        INTO number, total FROM payment_sightings AS s
       WHERE s.email = own.email AND s.organisation_id = own.organisation_id
         AND s.platform = p_platform AND s.seen_at > playalter_now() - seconds(rule.seconds);
    ELSE
      SELECT count(*), coalesce(sum(amount) FILTER (WHERE currency = own.currency), 0)
        INTO number, total FROM payment_sightings AS s
       WHERE s.address = own.address AND s.organisation_id = own.organisation_id
         AND s.platform = p_platform AND s.seen_at > playalter_now() - seconds(rule.seconds);
    END IF;
    RETURN NEXT;
  END LOOP;
END $$;
