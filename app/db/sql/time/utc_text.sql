-- A time as answers show it: ISO 8601 in UTC, with milliseconds, which are cut and not rounded.
CREATE OR REPLACE FUNCTION utc_text(p_at timestamptz) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT to_char(p_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
$$;
