-- Trigger on clock_offset: refuses to move the clock of a database whose name does not contain
-- `test`.
CREATE OR REPLACE FUNCTION clock_offset_only_in_tests() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF current_database() NOT LIKE '%test%' THEN
    RAISE EXCEPTION 'the clock can be moved in a test database only, not in %', current_database();
  END IF;
  RETURN NEW;
END $$;
