-- Verified webhooks, each committed before it is answered. Also deliveries that Playalter makes
-- itself (platform `control`): a signal was given, a child has ended, or a step has given up an
-- effect (see disown_effects_v1). consumed_at: when a step took the delivery. effect_id,
-- effect_workflow_id, effect_step_key: the platform's id of the effect that the webhook reports, and
-- the step for which it was made. fate: whether that step owns the effect (`own`) or not (`orphan`),
-- or the workflow was erased before (`late`); null until that is decided. reserved: until then, what an effect that its step has given up may
-- still cost, in micro-USD.
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
  reserved bigint DEFAULT 0 NOT NULL,
  decision_failures integer DEFAULT 0 NOT NULL,
  decide_after timestamptz,
  CONSTRAINT webhook_deliveries_once UNIQUE (platform, delivery_id),
  CONSTRAINT webhook_deliveries_fate CHECK (fate IN ('own', 'orphan', 'late'))
);

CREATE INDEX webhook_deliveries_by_external_id ON webhook_deliveries (external_id)
  WHERE external_id IS NOT NULL;
-- Deliveries of platform `control` that no step has taken. Every pass of the reconciler reads them.
CREATE INDEX webhook_deliveries_unconsumed ON webhook_deliveries (received_at)
  WHERE platform = 'control' AND consumed_at IS NULL;
-- Effects for which it is not decided yet whether their step owns them, oldest first.
CREATE INDEX webhook_deliveries_undecided ON webhook_deliveries (received_at)
  WHERE effect_workflow_id IS NOT NULL AND fate IS NULL;
CREATE INDEX webhook_deliveries_by_effect ON webhook_deliveries (effect_workflow_id)
  WHERE effect_workflow_id IS NOT NULL;
