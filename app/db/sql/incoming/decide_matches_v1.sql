-- Records what the triggers of some events have said, once for each event: the matches, one entry
-- of the arrays p_of, p_triggers, p_outcomes, p_keys and p_reasons for each, and that the triggers
-- were looked for. Returns the events, of p_events, for which this call has done it; the caller
-- starts their workflows, and the reconciler does if they are not started in p_patience seconds. For
-- the events in p_waking, waits are looked for too, by the caller or then by the reconciler.
CREATE OR REPLACE FUNCTION decide_matches_v1(
  p_events uuid[], p_of uuid[], p_triggers uuid[], p_outcomes text[], p_keys text[],
  p_reasons text[], p_waking uuid[], p_patience double precision)
RETURNS SETOF uuid LANGUAGE plpgsql AS $$
DECLARE
  won uuid[];
BEGIN
  -- The commit is not flushed. The flush of a start, or of a wake, is one of this too, for it comes
  -- later in the log; if the server crashes before that, the event is matched again.
  PERFORM set_config('synchronous_commit', 'off', true);
  SELECT array_agg(id) INTO won
    FROM (SELECT id FROM incoming_events WHERE id = ANY (p_events) AND matched_at IS NULL
           ORDER BY id FOR NO KEY UPDATE) AS locked;
  INSERT INTO trigger_matches (event_id, trigger_id, outcome, start_key, reason, act_after)
  SELECT g.event_id, g.trigger_id, g.outcome, g.start_key, g.reason,
         clock_timestamp() + seconds(p_patience)
    FROM unnest(p_of, p_triggers, p_outcomes, p_keys, p_reasons)
           AS g (event_id, trigger_id, outcome, start_key, reason)
   WHERE g.event_id = ANY (won);
  UPDATE incoming_events SET matched_at = clock_timestamp(),
         wakes_at = CASE WHEN id = ANY (p_waking) THEN clock_timestamp() + seconds(p_patience) END
   WHERE id = ANY (won);
  RETURN QUERY SELECT unnest(won);
END $$;
