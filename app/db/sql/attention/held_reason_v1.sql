-- Why a workflow is marked for attention if a step of it has been held for an hour: it was retried
-- without the attempts being counted (see retry_step_v1). p_code is the code of the step's error.
-- Null for a platform's limit, which ends by itself.
CREATE OR REPLACE FUNCTION held_reason_v1(p_code text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN p_code = 'rate_limited' THEN NULL
              WHEN p_code IN ('credential_refused', 'account_exhausted', 'page_protected')
                THEN 'platform_refuses'
              ELSE 'store_unavailable' END
$$;
