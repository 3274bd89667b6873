-- Locks the row of a platform's whole allowance, and makes it and that of an organisation if they are
-- missing. If a new hour has begun, both begin it with nothing spent. Returns the hour. Whoever holds
-- this lock may change all rows of the platform's allowance.
CREATE OR REPLACE FUNCTION lock_allowance_v1(p_platform text, p_organisation uuid)
RETURNS timestamptz LANGUAGE plpgsql AS $$
DECLARE
  whole constant uuid := '00000000-0000-0000-0000-000000000000';
  this_hour timestamptz;
BEGIN
  PERFORM FROM allowances WHERE platform = p_platform AND organisation_id = whole FOR UPDATE;
  IF NOT FOUND THEN
    INSERT INTO allowances (platform, organisation_id, hour)
    VALUES (p_platform, whole, '-infinity') ON CONFLICT DO NOTHING;
    PERFORM FROM allowances WHERE platform = p_platform AND organisation_id = whole FOR UPDATE;
  END IF;
  this_hour := date_trunc('hour', playalter_now(), 'UTC');
  INSERT INTO allowances (platform, organisation_id, hour)
  VALUES (p_platform, p_organisation, this_hour) ON CONFLICT DO NOTHING;
  UPDATE allowances SET hour = this_hour, reserved = 0, spent = 0
   WHERE platform = p_platform AND organisation_id IN (whole, p_organisation)
     AND hour <> this_hour;
  RETURN this_hour;
END $$;
