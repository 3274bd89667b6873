-- Which step has made the result of a request to a platform, or makes it now. An equal request of the
-- same user gets this result, if the step's action allows it (see claim_result_v1). The result itself
-- stays in the row of that step alone: what is undone, archived or erased is no longer reused, and an
-- end that is recorded needs no second record. A step makes at most one result.
--
-- request_hash: the SHA-256 of the canonical request, with the action. generation: that of the step's
-- keys when it claimed the result. claimed_at: since when it makes the result. No foreign key to the
-- step: see is_not_needed_v1.
CREATE TABLE known_results (
  user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  request_hash bytea NOT NULL,
  workflow_id uuid NOT NULL,
  generation integer NOT NULL,
  step_key text NOT NULL,
  claimed_at timestamptz DEFAULT clock_timestamp() NOT NULL,
  PRIMARY KEY (user_id, request_hash),
  CONSTRAINT known_results_once UNIQUE (workflow_id, step_key)
);

-- Rows come in the order of their age, so ranges of blocks find the old ones.
CREATE INDEX known_results_by_age ON known_results USING brin (claimed_at);
