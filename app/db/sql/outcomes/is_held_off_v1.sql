-- Whether a step has waited for a full or unavailable store of ours (PostgreSQL, Valkey, the file
-- storage) for more than an hour, so that its workflow is marked for attention. p_since: when the
-- wait began; null if the step does not wait for a store. See retry_step_v1.
CREATE OR REPLACE FUNCTION is_held_off_v1(p_since timestamptz) RETURNS boolean
LANGUAGE sql STABLE AS $$
  SELECT coalesce(p_since < clock_timestamp() - interval '1 hour', false)
$$;
