-- The workflow that an earlier request with this idempotency key has started, or with which it was
-- answered (see start_handles), and the hash of that request. PostgreSQL makes a part of the calling
-- query from this function.
CREATE OR REPLACE FUNCTION known_start_v1(p_user uuid, p_key text)
RETURNS TABLE (id uuid, request_hash bytea) LANGUAGE sql STABLE AS $$
  SELECT w.id, w.request_hash FROM workflows AS w
   WHERE w.idempotency_key = p_key AND w.user_id IS NOT DISTINCT FROM p_user
  UNION ALL
  SELECT h.workflow_id, h.request_hash FROM start_handles AS h
   WHERE h.idempotency_key = p_key AND h.user_id IS NOT DISTINCT FROM p_user
  UNION ALL
  SELECT a.workflow_id, a.request_hash FROM archived AS a
   WHERE a.idempotency_key = p_key AND a.user_id IS NOT DISTINCT FROM p_user
$$;
