-- The SHA-256 of a payload's stored text, in hexadecimal. Events contain this hash; the payload
-- itself is in another row, which can be erased.
CREATE OR REPLACE FUNCTION payload_hash(p_payload jsonb) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT encode(sha256(convert_to(p_payload::text, 'UTF8')), 'hex')
$$;
