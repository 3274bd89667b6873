-- The place of a start in its lane. A level of priority is worth a minute, so that a start of high
-- priority overtakes, and one of low priority never starves. It depends on what never changes, so a
-- workflow that was paused comes back to its place.
CREATE OR REPLACE FUNCTION order_in_flow(
  p_created_at timestamptz, p_starts_at timestamptz, p_priority smallint, p_flow jsonb)
RETURNS timestamptz LANGUAGE sql STABLE AS $$
  SELECT greatest(p_created_at, p_starts_at)
    - (coalesce((p_flow ->> 'priority')::integer, p_priority) - 5) * interval '1 minute'
$$;
