-- The place of a workflow's steps in their lane. A level of priority is worth a minute, so that a
-- step of high priority overtakes, and one of low priority never starves.
CREATE OR REPLACE FUNCTION order_in_lane(p_started_at timestamptz, p_priority smallint)
RETURNS timestamptz LANGUAGE sql STABLE AS $$
  SELECT p_started_at - (p_priority - 5) * interval '1 minute'
$$;
