-- Creates an endpoint of a user, and returns its id; null if the user has p_most endpoints already.
CREATE OR REPLACE FUNCTION create_webhook_endpoint_v1(
  p_user uuid, p_url text, p_description text, p_event_types text[], p_with_children boolean,
  p_secret text, p_most integer)
RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
  organisation uuid;
  made uuid;
BEGIN
  -- The lock comes first: the next statement then counts what others have committed.
  SELECT organisation_id INTO organisation FROM users WHERE id = p_user FOR NO KEY UPDATE;
  IF (SELECT count(*) FROM webhook_endpoints WHERE user_id = p_user) >= p_most THEN
    RETURN NULL;
  END IF;
  INSERT INTO webhook_endpoints (
    organisation_id, user_id, url, description, event_types, with_children, secret)
  VALUES (organisation, p_user, p_url, p_description, p_event_types, p_with_children, p_secret)
  RETURNING id INTO made;
  RETURN made;
END $$;
