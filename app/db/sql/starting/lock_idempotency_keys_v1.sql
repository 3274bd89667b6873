-- Takes the locks of several idempotency keys of a user in their order (see idempotency_lock_v1),
-- for starts that travel together. Returns p_keys, so that a statement can read the keys only after
-- they are locked.
CREATE OR REPLACE FUNCTION lock_idempotency_keys_v1(p_user uuid, p_keys text[]) RETURNS text[]
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(number)
     FROM (SELECT DISTINCT idempotency_lock_v1(p_user, key) AS number FROM unnest(p_keys) AS key
            WHERE key IS NOT NULL ORDER BY number) AS locks;
  RETURN p_keys;
END $$;
