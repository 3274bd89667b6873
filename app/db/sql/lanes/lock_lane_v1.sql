-- Keeps a lane from being closed until the end of this transaction. Whoever adds an entry calls it
-- before looking whether the lane is_waiting. admit_v1 closes a lane only if nobody holds this lock,
-- so an entry that is not committed yet is never left in a closed lane.
CREATE OR REPLACE FUNCTION lock_lane_v1(p_queue text, p_user uuid) RETURNS void LANGUAGE sql AS $$
  SELECT pg_advisory_xact_lock_shared(hashtext('lane'), hashtext(p_queue || p_user))
$$;
