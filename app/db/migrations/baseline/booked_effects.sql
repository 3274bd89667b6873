-- Effects at platforms whose cost is booked, so that no cost is booked twice: the step that made an
-- effect, its compensation, and the compensation of an orphan may all see what the effect has cost.
-- effect: the platform's id of the effect, or a name that the action gives to a call. step_key and
-- generation: the step that has booked it. cost: in micro-USD; model: what was paid for, where the
-- platform has prices by model. lost_call: the key of a call whose answer was lost, if the cost is
-- what that may have cost (see book_effect_v1). No foreign keys: see is_not_needed_v1.
CREATE TABLE booked_effects (
  workflow_id uuid NOT NULL,
  effect text NOT NULL,
  step_key text NOT NULL,
  generation integer NOT NULL,
  cost bigint DEFAULT 0 NOT NULL,
  model text,
  lost_call text,
  PRIMARY KEY (workflow_id, effect)
);
