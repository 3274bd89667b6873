-- Trigger on clock_offset: refuses to move the clock of a database unless its name contains `test`, or
-- it is marked by ALTER DATABASE ... SET playalter.is_sandbox = 'on', as ops/laptop marks its own.
CREATE OR REPLACE FUNCTION clock_moves_only_in_sandboxes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF current_database() NOT LIKE '%test%' AND NOT EXISTS (
       SELECT FROM pg_db_role_setting AS s JOIN pg_database AS d ON d.oid = s.setdatabase
        WHERE d.datname = current_database() AND s.setrole = 0
          AND 'playalter.is_sandbox=on' = ANY (s.setconfig)) THEN
    RAISE EXCEPTION 'the clock can be moved in a sandbox or a test database only, not in %',
                    current_database();
  END IF;
  RETURN NEW;
END $$;
