-- Raises a unique violation if another start than p_id is known by this idempotency key, as its unique
-- index does for a workflow: a start may be known by its answer only (see start_handles), or be
-- archived. The caller holds the lock of the key.
CREATE OR REPLACE FUNCTION unless_known_v1(p_id uuid, p_user uuid, p_key text)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM known_start_v1(p_user, p_key) AS known WHERE known.id <> p_id) THEN
    RAISE EXCEPTION 'a start is known by this idempotency key'
      USING ERRCODE = 'unique_violation', CONSTRAINT = 'starts_idempotency';
  END IF;
END $$;
