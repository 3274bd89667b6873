-- What playalter_now() was at a real time, such as the start of a step: that time plus the offset that
-- the clock had then. Without a move of the clock it is the real time.
CREATE OR REPLACE FUNCTION moved_time(p_at timestamptz) RETURNS timestamptz LANGUAGE sql STABLE AS $$
  SELECT p_at + coalesce((SELECT amount FROM clock_moves WHERE moved_at <= p_at
                           ORDER BY moved_at DESC, id DESC LIMIT 1), interval '0')
$$;
