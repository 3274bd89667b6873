-- Lets this process move on the batch of a platform that is due the longest, for p_seconds seconds; no
-- row if none is due. `age`: the seconds since its upload or its creation was sent, if that is open.
-- `has_wanted`: whether a step still waits for one of its lines.
CREATE OR REPLACE FUNCTION claim_batch_v1(p_platform text, p_seconds double precision)
RETURNS TABLE (id uuid, state text, endpoint text, model text, lines integer, file_id text,
               external_id text, result_files text[], ending text, sent_at timestamptz,
               look_at timestamptz, failures integer, fence uuid, age double precision,
               old double precision, has_wanted boolean)
LANGUAGE sql AS $$
  UPDATE batches AS b SET fence = gen_random_uuid(),
         held_until = clock_timestamp() + seconds(p_seconds)
   WHERE b.id = (
     SELECT due.id FROM batches AS due
      WHERE due.platform = p_platform AND due.ended_at IS NULL
        AND due.look_at <= (SELECT playalter_now())
        AND (due.held_until IS NULL OR due.held_until < clock_timestamp())
      ORDER BY due.look_at LIMIT 1 FOR UPDATE SKIP LOCKED)
  RETURNING b.id, b.state, b.endpoint, b.model, b.lines, b.file_id, b.external_id, b.result_files,
            b.ending, b.sent_at, b.look_at, b.failures, b.fence,
            extract(epoch FROM clock_timestamp() - b.sent_at)::double precision,
            extract(epoch FROM playalter_now() - b.created_at)::double precision,
            EXISTS (SELECT FROM batch_lines AS l WHERE l.batch_id = b.id
                       AND l.state = 'sent' AND NOT l.is_dropped)
$$;
