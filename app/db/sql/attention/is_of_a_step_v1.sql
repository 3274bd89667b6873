-- Whether a reason to need a person is found again by looking at the workflow's steps (see
-- needs_person_v1).
CREATE OR REPLACE FUNCTION is_of_a_step_v1(p_reason text) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
  SELECT p_reason IN ('unknown_outcome', 'lookup_refused', 'compensation_failed', 'step_failed',
                      'crashing', 'store_unavailable', 'platform_refuses', 'approver_unknown')
$$;
