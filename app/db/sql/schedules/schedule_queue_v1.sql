-- The starts of a schedule in the order in which they have their turn: those that wait (with their run
-- as `id`), then the new ones, and those of backfills last. p_new and p_waiting: as in
-- fire_schedule_v1. is_replaced: a later one takes its place. The caller holds the row of the schedule.
--
-- Usually nothing waits (p_waits is false), and the new ones are in order.
CREATE OR REPLACE FUNCTION schedule_queue_v1(
  p_schedule uuid, p_overlap text, p_new jsonb, p_waiting jsonb, p_waits boolean)
RETURNS TABLE (id bigint, kind text, nominal_at timestamptz, overlap text, expires_at timestamptz,
               request_id text, start jsonb, policy text, is_replaced boolean, refused text,
               detail text, prepared_id uuid)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
  IF NOT p_waits THEN
    RETURN QUERY
    SELECT NULL::bigint AS id, n.kind, n.nominal_at, n.overlap, n.expires_at, n.request_id, n.start,
           coalesce(n.overlap, p_overlap) AS policy, n.is_replaced, made.*
      FROM jsonb_to_recordset(p_new) AS n (
        kind text, nominal_at timestamptz, overlap text, expires_at timestamptz, request_id text,
        is_replaced boolean, start jsonb)
     CROSS JOIN LATERAL jsonb_to_record(coalesce(n.start, '{}')) AS made (
        refused text, detail text, prepared_id uuid);
    RETURN;
  END IF;
  RETURN QUERY
  WITH queued AS (
    SELECT r.id, r.kind, r.nominal_at, r.overlap, r.expires_at, r.request_id, p.start,
           coalesce(r.overlap, p_overlap) AS policy,
           coalesce(r.overlap, p_overlap) IN ('cancel_other', 'terminate_other') AS replaces
      FROM schedule_runs AS r
      LEFT JOIN jsonb_to_recordset(p_waiting) AS p (run bigint, start jsonb) ON p.run = r.id
     WHERE r.schedule_id = p_schedule AND r.is_open AND r.outcome = 'buffered'),
  new AS (
    SELECT n.*, coalesce(n.overlap, p_overlap) AS policy,
           coalesce(n.overlap, p_overlap) IN ('cancel_other', 'terminate_other') AS replaces
      FROM ROWS FROM (jsonb_to_recordset(p_new) AS (
        kind text, nominal_at timestamptz, overlap text, expires_at timestamptz, request_id text,
        is_replaced boolean, start jsonb)) WITH ORDINALITY AS n (
        kind, nominal_at, overlap, expires_at, request_id, is_replaced, start, place))
  SELECT q.id, q.kind, q.nominal_at, q.overlap, q.expires_at, q.request_id, q.start, q.policy,
         q.is_replaced, made.*
    FROM (
    SELECT o.id, o.kind, o.nominal_at, o.overlap, o.expires_at, o.request_id, o.start, o.policy,
           o.replaces AND (EXISTS (SELECT FROM new AS n WHERE n.replaces AND n.kind = o.kind)
             OR EXISTS (SELECT FROM queued AS l
                         WHERE l.replaces AND l.kind = o.kind AND l.id > o.id)) AS is_replaced,
           0 AS place
      FROM queued AS o
    UNION ALL
    SELECT NULL, n.kind, n.nominal_at, n.overlap, n.expires_at, n.request_id, n.start, n.policy,
           n.is_replaced, n.place FROM new AS n) AS q
   CROSS JOIN LATERAL jsonb_to_record(coalesce(q.start, '{}')) AS made (
      refused text, detail text, prepared_id uuid)
   ORDER BY q.kind = 'backfill', q.id NULLS LAST, q.place;
END $$;
