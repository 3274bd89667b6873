-- Lets one message be sent to an endpoint again, with all attempts before it.
--
-- verdicts:
--   replayed
--   waiting: it waits to be sent already, or is being sent.
--   absent: it was not made for the endpoint, or is not kept any more, or is a ping.
CREATE OR REPLACE FUNCTION replay_webhook_message_v1(p_endpoint uuid, p_message uuid) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
  found_status text;
BEGIN
  SELECT status INTO found_status FROM webhook_sendings
   WHERE message_id = p_message AND endpoint_id = p_endpoint AND turn > 0 FOR UPDATE;
  IF NOT FOUND THEN RETURN 'absent'; END IF;
  IF found_status IN ('pending', 'sending') THEN RETURN 'waiting'; END IF;
  UPDATE webhook_sendings
     SET status = 'pending', turn = 2, attempts = 0, due_at = playalter_now()
   WHERE message_id = p_message AND endpoint_id = p_endpoint;
  RETURN 'replayed';
END $$;
