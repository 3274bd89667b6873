-- The text of an event, a JSON object {at, seq, type, step, data} without a space between its
-- members, because every event of every workflow would keep it. The step is left out if it is null,
-- and of the data what is null or the hash of an empty payload (see without_empty_v1). p_type is a
-- name of plain letters.
CREATE OR REPLACE FUNCTION event_text_v1(
  p_seq integer, p_at bigint, p_type text, p_step text, p_data jsonb)
RETURNS text LANGUAGE sql STABLE AS $$
  SELECT '{"at":' || p_at::text || ',"seq":' || p_seq::text || ',"type":"' || p_type || '"'
         || coalesce(',"step":' || to_json(p_step)::text, '')
         || ',"data":' || coalesce(jsonb_strip_nulls(without_empty_v1(p_type, p_data))::text, '{}')
         || '}'
$$;
