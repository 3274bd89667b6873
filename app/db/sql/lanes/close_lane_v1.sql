-- Marks a lane as empty if it has no entries. Leaves it open if another transaction may be adding an
-- entry (see lock_lane_v1).
CREATE OR REPLACE FUNCTION close_lane_v1(p_queue text, p_user uuid) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  IF NOT pg_try_advisory_xact_lock(hashtext('lane'), hashtext(p_queue || p_user)) THEN
    RETURN;
  END IF;
  -- A statement of its own: it sees what was committed before the lock was taken.
  UPDATE lanes SET is_waiting = false
   WHERE queue = p_queue AND user_id = p_user
     AND NOT EXISTS (SELECT FROM lane_entries WHERE queue = p_queue AND user_id = p_user);
END $$;
