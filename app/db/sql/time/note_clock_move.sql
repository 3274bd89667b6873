-- Trigger on clock_offset: keeps each value in clock_moves, with the time from which on it was valid.
CREATE OR REPLACE FUNCTION note_clock_move() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO clock_moves (amount)
  VALUES (CASE WHEN TG_OP = 'DELETE' THEN interval '0' ELSE NEW.amount END);
  RETURN NULL;
END $$;
