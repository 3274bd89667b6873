-- The number of the advisory lock of a user's idempotency key. Whoever starts workflows with keys
-- takes their locks, in the order of these numbers, before any other lock. Otherwise one start with
-- a key could hold a lane for which another waits, and wait itself for the key of that one.
CREATE OR REPLACE FUNCTION idempotency_lock_v1(p_user uuid, p_key text) RETURNS bigint
LANGUAGE sql IMMUTABLE AS $$
  SELECT hashtextextended(p_user || ' ' || p_key, 1)
$$;
