-- What became of an incoming event at a trigger: one row for each trigger that took it, or whose
-- expressions failed. outcome: `pending` until the workflow is started (the reconciler tries at
-- act_after), then `started`, or `repeated` if the trigger's idempotency key had started workflow_id
-- before. `refused`: the start was refused. `raised`: an expression failed. `stopped`: by the guards
-- against loops and against many starts. `dropped`: the flow control of the definition has started
-- nothing for it. reason says why, for the last four.
--
-- start_key is the idempotency key of the workflow. It is committed before the start, so that an
-- event that the workflow emits finds the event that caused it.
CREATE TABLE trigger_matches (
  event_id uuid NOT NULL REFERENCES incoming_events (id),
  trigger_id uuid NOT NULL REFERENCES event_triggers (id),
  outcome text NOT NULL,
  start_key text,
  workflow_id uuid,
  reason text,
  decided_at timestamptz DEFAULT clock_timestamp() NOT NULL,
  act_after timestamptz NOT NULL,
  failures smallint DEFAULT 0 NOT NULL,
  PRIMARY KEY (event_id, trigger_id),
  CONSTRAINT trigger_matches_outcome CHECK (outcome IN (
    'pending', 'started', 'repeated', 'refused', 'raised', 'stopped', 'dropped'))
);

CREATE INDEX trigger_matches_by_trigger ON trigger_matches (trigger_id, outcome, decided_at);
CREATE INDEX trigger_matches_pending ON trigger_matches (act_after) WHERE outcome = 'pending';
CREATE INDEX trigger_matches_by_start_key ON trigger_matches (start_key)
  WHERE start_key IS NOT NULL;
