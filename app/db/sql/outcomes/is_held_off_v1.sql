-- Whether a step has been held for more than an hour for a reason that a person must mend: a store
-- of ours (PostgreSQL, Valkey, the file storage) is full or unavailable, or the visitors of a page are
-- asked to log in. p_since: when the step was first held; null if it is not
-- held. p_code: the code of its error. See retry_step_v1.
CREATE OR REPLACE FUNCTION is_held_off_v1(p_since timestamptz, p_code text) RETURNS boolean
LANGUAGE sql STABLE AS $$
  SELECT coalesce(p_since < clock_timestamp() - interval '1 hour', false)
         AND held_reason_v1(p_code) IS NOT NULL
$$;
