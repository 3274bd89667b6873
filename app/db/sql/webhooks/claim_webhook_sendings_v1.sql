-- Claims sendings that are due, for a sender that sends each within p_lease seconds. It has room for
-- p_quick more to endpoints that answer within a second, and for p_slow more to the others: those
-- whose last attempt failed, and those that have not answered yet. The slow ones so hold no room of
-- the quick ones.
--
-- An endpoint gets at most 4 at the same time, whatever senders there are, and 1 while it fails or
-- has not answered yet. While it rests (rest_until), it gets only pings. The endpoint that was served
-- longest ago comes first. Of one endpoint, what is new comes before what is sent again.
--
-- If a sender has died, its sendings are pending again when their leases have ended. The receiver may
-- then get a message twice, with the same id.
CREATE OR REPLACE FUNCTION claim_webhook_sendings_v1(
  p_quick integer, p_slow integer, p_lease double precision)
RETURNS TABLE (endpoint_id uuid, message_id uuid, fence uuid, is_slow boolean, is_ping boolean,
               attempts smallint, url text, secret text, former_secret text, type text, data jsonb,
               created_at timestamptz, at timestamptz)
LANGUAGE plpgsql SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
  candidate uuid;
  e record;
  room integer;
  taken integer;
  quick integer := p_quick;
  slow integer := p_slow;
  now timestamptz := playalter_now();
BEGIN
  UPDATE webhook_sendings AS s SET status = 'pending', fence = NULL, lease_until = NULL
    FROM (SELECT l.message_id, l.endpoint_id FROM webhook_sendings AS l
           WHERE l.status = 'sending' AND l.lease_until <= clock_timestamp()
           LIMIT 100 FOR UPDATE SKIP LOCKED) AS lost
   WHERE s.message_id = lost.message_id AND s.endpoint_id = lost.endpoint_id;
  -- The index is read once for each endpoint for which something waits, however much that is.
  FOR candidate IN
    WITH RECURSIVE waiting AS (
      (SELECT s.endpoint_id AS id FROM webhook_sendings AS s WHERE s.status = 'pending'
        ORDER BY s.endpoint_id LIMIT 1)
      UNION ALL
      SELECT (SELECT s.endpoint_id FROM webhook_sendings AS s
               WHERE s.status = 'pending' AND s.endpoint_id > waiting.id
               ORDER BY s.endpoint_id LIMIT 1)
        FROM waiting WHERE waiting.id IS NOT NULL)
    SELECT w.id FROM waiting AS w JOIN webhook_endpoints AS p ON p.id = w.id
     WHERE EXISTS (
       SELECT FROM (VALUES (0), (1), (2)) AS t (turn)
        WHERE (t.turn = 0 OR p.disabled_at IS NULL AND coalesce(p.rest_until <= now, true))
          AND EXISTS (SELECT FROM webhook_sendings AS s
                       WHERE s.endpoint_id = w.id AND s.status = 'pending' AND s.turn = t.turn
                         AND s.due_at <= now))
     ORDER BY p.served_at NULLS FIRST, w.id
  LOOP
    EXIT WHEN quick <= 0 AND slow <= 0;
    SELECT p.failures, p.url, p.secret, p.failures > 0 OR coalesce(p.pace > 1000, true) AS is_slow,
           p.failures > 0 OR p.pace IS NULL AS is_careful,
           p.disabled_at IS NULL AND coalesce(p.rest_until <= now, true) AS is_open,
           CASE WHEN p.former_until > now THEN p.former_secret END AS former_secret
      INTO e FROM webhook_endpoints AS p WHERE p.id = candidate FOR NO KEY UPDATE SKIP LOCKED;
    CONTINUE WHEN NOT FOUND;
    -- This is a statement of its own, so it sees what others have claimed before the lock was free.
    SELECT CASE WHEN e.is_careful THEN 1 ELSE 4 END - count(*) INTO room
      FROM webhook_sendings AS s WHERE s.endpoint_id = candidate AND s.status = 'sending';
    room := least(room, CASE WHEN e.is_slow THEN slow ELSE quick END);
    CONTINUE WHEN room <= 0;
    RETURN QUERY
    WITH due AS (
      SELECT found.message_id FROM (VALUES (0), (1), (2)) AS t (turn) CROSS JOIN LATERAL (
        SELECT s.message_id, s.due_at FROM webhook_sendings AS s
         WHERE s.endpoint_id = candidate AND s.status = 'pending' AND s.turn = t.turn
           AND s.due_at <= now AND (e.is_open OR t.turn = 0)
         ORDER BY s.due_at LIMIT room) AS found
       ORDER BY t.turn, found.due_at LIMIT room),
    claimed AS (
      UPDATE webhook_sendings AS s
         SET status = 'sending', fence = gen_random_uuid(),
             lease_until = clock_timestamp() + seconds(p_lease)
        FROM due WHERE s.message_id = due.message_id AND s.endpoint_id = candidate
         AND s.status = 'pending'
      RETURNING s.message_id, s.fence, s.turn, s.attempts)
    SELECT candidate, c.message_id, c.fence, e.is_slow, c.turn = 0, c.attempts, e.url, e.secret,
           e.former_secret, m.type, m.data, m.created_at, clock_timestamp()
      FROM claimed AS c JOIN webhook_messages AS m ON m.id = c.message_id;
    GET DIAGNOSTICS taken = ROW_COUNT;
    IF e.is_slow THEN slow := slow - taken; ELSE quick := quick - taken; END IF;
    UPDATE webhook_endpoints SET served_at = clock_timestamp() WHERE id = candidate;
  END LOOP;
END $$;
