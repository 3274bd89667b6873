-- Whether a step with this error has been held off for more than an hour by a store of ours that is
-- full or away, so that a person is called. `since` in the error is written by retry_step_v1.
CREATE OR REPLACE FUNCTION is_held_off_v1(p_error jsonb) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT coalesce((p_error ->> 'since')::double precision
                  < extract(epoch FROM clock_timestamp()) - 3600, false)
$$;
