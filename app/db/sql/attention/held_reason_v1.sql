-- Why a workflow is marked for attention if a step of it has been held for an hour: it was retried
-- without the attempts being counted (see retry_step_v1). p_code is the code of the step's error.
-- Null for a platform's limit, an open circuit or a poll without an answer, which end by themselves,
-- and for a step that waits for its budget, for its user's share or for a platform's allowance. Null
-- also if the platform refuses our credential or account: that holds many workflows at once, and
-- people are told of it once, for the platform (see steps_held).
CREATE OR REPLACE FUNCTION held_reason_v1(p_code text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN p_code IN ('rate_limited', 'circuit_open', 'state_not_read', 'waits_for_budget',
                              'over_budget', 'waits_for_share', 'waits_for_allowance',
                              'credential_refused', 'account_exhausted', 'account_restricted')
                THEN NULL
              WHEN p_code = 'page_protected' THEN 'platform_refuses'
              ELSE 'store_unavailable' END
$$;
