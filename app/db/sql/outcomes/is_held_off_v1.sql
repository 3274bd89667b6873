-- Whether a step that a store of ours, full or away, has held off since p_since (null: it is not held off) has
-- waited for more than an hour, so that a person is called. See retry_step_v1.
CREATE OR REPLACE FUNCTION is_held_off_v1(p_since timestamptz) RETURNS boolean
LANGUAGE sql STABLE AS $$
  SELECT coalesce(p_since < clock_timestamp() - interval '1 hour', false)
$$;
