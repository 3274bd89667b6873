-- Writes one message for those endpoints of a user that want its type, and a sending for each of
-- them; nothing if there is none. For a disabled endpoint, the sending is missed. p_is_of_child:
-- whether only endpoints with_children want it. p_except: an endpoint that does not get it.
CREATE OR REPLACE FUNCTION tell_endpoints_v1(
  p_user uuid, p_type text, p_workflow uuid, p_seq integer, p_data jsonb, p_is_of_child boolean,
  p_except uuid)
RETURNS void LANGUAGE sql AS $$
  WITH wanting AS MATERIALIZED (
    SELECT id, organisation_id, disabled_at FROM webhook_endpoints
     WHERE user_id = p_user AND id IS DISTINCT FROM p_except
       AND (event_types IS NULL OR p_type = ANY (event_types))
       AND (with_children OR NOT p_is_of_child)),
  told AS (
    INSERT INTO webhook_messages (organisation_id, user_id, type, workflow_id, seq, data)
    SELECT organisation_id, p_user, p_type, p_workflow, p_seq, p_data FROM wanting LIMIT 1
    RETURNING id, created_at)
  INSERT INTO webhook_sendings (message_id, endpoint_id, created_at, status, due_at)
  SELECT told.id, wanting.id, told.created_at,
         CASE WHEN wanting.disabled_at IS NULL THEN 'pending' ELSE 'missed' END, told.created_at
    FROM told CROSS JOIN wanting
$$;
