-- Verified webhooks, each committed before it is answered, and deliveries of our own (platform
-- `control`): a signal that was given, a child that has ended. consumed_at: a step has taken it.
-- effect_*: the vendor's id of the effect that it speaks of and the step whose effect that is; fate:
-- whether the effect is that step's own or an orphan, null while that is open.
CREATE TABLE webhook_deliveries (
  id uuid DEFAULT uuidv7() PRIMARY KEY,
  platform text NOT NULL,
  delivery_id text NOT NULL,
  external_id text,
  kind text NOT NULL,
  payload jsonb NOT NULL,
  received_at timestamptz DEFAULT clock_timestamp() NOT NULL,
  consumed_at timestamptz,
  effect_id text,
  effect_workflow_id uuid,
  effect_step_key text,
  fate text,
  decision_failures integer DEFAULT 0 NOT NULL,
  decide_after timestamptz,
  CONSTRAINT webhook_deliveries_once UNIQUE (platform, delivery_id),
  CONSTRAINT webhook_deliveries_fate CHECK (fate IN ('own', 'orphan'))
);

CREATE INDEX webhook_deliveries_by_external_id ON webhook_deliveries (external_id)
  WHERE external_id IS NOT NULL;
-- Deliveries of our own that no step has taken: every pass of the reconciler looks for them.
CREATE INDEX webhook_deliveries_unconsumed ON webhook_deliveries (received_at)
  WHERE platform = 'control' AND consumed_at IS NULL;
-- Effects of which it is open whose they are, the oldest first.
CREATE INDEX webhook_deliveries_undecided ON webhook_deliveries (received_at)
  WHERE effect_workflow_id IS NOT NULL AND fate IS NULL;
CREATE INDEX webhook_deliveries_by_effect ON webhook_deliveries (effect_workflow_id)
  WHERE effect_workflow_id IS NOT NULL;
