-- Finds the API key with this prefix, unless it was revoked. The caller compares the digest. Called
-- for each request, as a prepared statement that reads one index entry and one row.
CREATE OR REPLACE FUNCTION find_key_v1(p_prefix text)
RETURNS TABLE (user_id uuid, digest bytea, is_admin boolean) LANGUAGE sql STABLE AS $$
  SELECT user_id, digest, is_admin FROM api_keys WHERE prefix = p_prefix AND revoked_at IS NULL
$$;
