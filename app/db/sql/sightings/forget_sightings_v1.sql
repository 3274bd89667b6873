-- Deletes payments that no rule looks back to, at most p_most. Returns how many.
CREATE OR REPLACE FUNCTION forget_sightings_v1(p_most integer) RETURNS integer LANGUAGE sql AS $$
  WITH gone AS (
    DELETE FROM payment_sightings
     WHERE (organisation_id, platform, payment_id) IN (
       SELECT organisation_id, platform, payment_id FROM payment_sightings
        WHERE expires_at <= playalter_now() ORDER BY expires_at LIMIT p_most)
    RETURNING 1)
  SELECT count(*)::integer FROM gone
$$;
