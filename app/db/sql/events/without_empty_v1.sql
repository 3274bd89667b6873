-- An event's data without the hash of an empty payload, {}. This applies to the hash of an output
-- and to that of a workflow's input. A reader takes a missing hash there for the hash of {}: most
-- control steps have an empty output, and its hash would cost 76 bytes in each of their events. In
-- other events the input's hash stays, because there a missing hash means that no input was given.
CREATE OR REPLACE FUNCTION without_empty_v1(p_type text, p_data jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE payload_hash('{}')
    WHEN p_data ->> 'output' THEN p_data - 'output'
    WHEN CASE WHEN p_type IN ('WorkflowStarted', 'WorkflowDeferred') THEN p_data ->> 'input' END THEN p_data - 'input'
    ELSE p_data END
$$;
