-- Appends an event of a schedule. p_by: a user's id, or `system`. p_data has no payload.
CREATE OR REPLACE FUNCTION note_schedule_v1(p_schedule uuid, p_type text, p_by text, p_data jsonb)
RETURNS void LANGUAGE sql AS $$
  INSERT INTO schedule_events (organisation_id, user_id, schedule_id, type, by, data)
  SELECT organisation_id, user_id, id, p_type, p_by, p_data FROM schedules WHERE id = p_schedule
$$;
