-- Takes one start of a rate limit. Returns 0 if it may start, or else after how many seconds one may.
--
-- It is the generic cell rate algorithm: p_limit starts may come at once, and what was used comes back
-- evenly, all of it in p_period seconds. `tat` is when all of it would be back. Locks the row of the
-- key until the end of the transaction, and a start that is not committed gives back what it took.
CREATE OR REPLACE FUNCTION take_rate_v1(
  p_type text, p_key text, p_limit integer, p_period double precision)
RETURNS double precision LANGUAGE plpgsql AS $$
DECLARE
  -- Rounded down, so that p_limit of them are not more than the period.
  each CONSTANT interval := interval '1 microsecond' * floor(p_period * 1e6 / p_limit);
  at timestamptz;
  back_at timestamptz;
BEGIN
  LOOP
    SELECT tat INTO back_at FROM start_rates WHERE type = p_type AND key = p_key FOR UPDATE;
    EXIT WHEN FOUND;
    INSERT INTO start_rates (type, key, tat) VALUES (p_type, p_key, playalter_now())
    ON CONFLICT DO NOTHING;
  END LOOP;
  -- Read under the lock: the time of a start that had to wait for it would be too early.
  at := playalter_now();
  -- It is never more than a period ahead, unless the clock was set back or the period was longer.
  IF back_at > at + seconds(p_period) THEN
    back_at := at + seconds(p_period);
    UPDATE start_rates SET tat = back_at WHERE type = p_type AND key = p_key;
  END IF;
  back_at := greatest(back_at, at) + each;
  IF back_at > at + seconds(p_period) THEN
    RETURN greatest(extract(epoch FROM back_at - seconds(p_period) - at), 0.001);
  END IF;
  UPDATE start_rates SET tat = back_at WHERE type = p_type AND key = p_key;
  RETURN 0;
END $$;
