-- Stores events of one user, each once by its source and its id there. Each array has one entry for
-- each event; p_ids are the ids of new rows, p_keys texts of their arrays of keys. Returns, in the order
-- of the arrays, the id of each event's row, and whether this call made it (also if this call is a repeat with the same p_ids).
CREATE OR REPLACE FUNCTION accept_incoming_v1(
  p_user uuid, p_depth integer, p_ids uuid[], p_sources text[], p_source_ids text[],
  p_types text[], p_subjects text[], p_times timestamptz[], p_payloads text[], p_attributes text[],
  p_keys text[], p_patience double precision)
RETURNS TABLE (event_id uuid, is_new boolean) LANGUAGE plpgsql AS $$
BEGIN
  -- In the order of the unique key, so that two calls never wait for each other.
  INSERT INTO incoming_events (id, organisation_id, project_id, user_id, source, source_id, type,
                               subject, occurred_at, data, attributes, keys, depth, match_after)
  SELECT g.id, u.organisation_id, u.project_id, u.id, g.source, g.source_id, g.type, g.subject,
         g.occurred_at, g.payload::jsonb, g.attributes::jsonb, g.keys::integer[], p_depth,
         clock_timestamp() + seconds(p_patience)
    FROM users AS u,
         unnest(p_ids, p_sources, p_source_ids, p_types, p_subjects, p_times, p_payloads,
                p_attributes, p_keys) WITH ORDINALITY
           AS g (id, source, source_id, type, subject, occurred_at, payload, attributes, keys,
                 place)
   WHERE u.id = p_user
   ORDER BY g.source, g.source_id, g.place
  ON CONFLICT DO NOTHING;
  -- A statement of its own: it sees what others have committed meanwhile.
  RETURN QUERY
  SELECT coalesce(e.id, g.id), coalesce(e.id = g.id, false)
    FROM unnest(p_ids, p_sources, p_source_ids) WITH ORDINALITY AS g (id, source, source_id, place)
    LEFT JOIN incoming_events AS e
      ON e.user_id = p_user AND e.source = g.source AND e.source_id = g.source_id
   ORDER BY g.place;
END $$;
