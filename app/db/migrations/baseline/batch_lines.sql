-- The lines of batches: each is one call of a step, whose exact request stands in its intent. A step has
-- one line for each such call. No foreign key to the step: a line that is paid for outlives its workflow.
--
-- state:
--   waiting: it is in no batch yet, or once more, after not_before.
--   sent: it is in the batch batch_id, of which it is line `number`, from 1 on.
--   answered: `answer` is what the platform answered. failed: `error` {code, message} is why there is none.
--   dropped: its step did not want it any more before it was sent, so that it costs nothing.
-- is_dropped: its step does not want it any more, but the platform works on it: its answer is dropped, and
-- its cost is booked. tries: how often the platform has not come to it. cost: in micro-USD, paid_model:
-- for what. ceiling: the most that it may cost. recorded_at, not_before and ended_at are times of
-- playalter_now(). settled_at: since when its cost is booked and its answer is not kept here any more.
CREATE TABLE batch_lines (
  id uuid DEFAULT uuidv7() PRIMARY KEY,
  workflow_id uuid NOT NULL,
  step_key text NOT NULL,
  generation integer NOT NULL,
  ordinal integer NOT NULL,
  organisation_id uuid NOT NULL REFERENCES organisations (id) ON DELETE CASCADE,
  user_id uuid NOT NULL,
  platform text NOT NULL,
  endpoint text NOT NULL,
  model text NOT NULL,
  bytes bigint NOT NULL,
  ceiling bigint NOT NULL,
  recorded_at timestamptz DEFAULT playalter_now() NOT NULL,
  not_before timestamptz DEFAULT playalter_now() NOT NULL,
  state text DEFAULT 'waiting' NOT NULL,
  is_dropped boolean DEFAULT false NOT NULL,
  batch_id uuid REFERENCES batches (id),
  number integer,
  tries integer DEFAULT 0 NOT NULL,
  answer jsonb,
  error jsonb,
  cost bigint DEFAULT 0 NOT NULL,
  paid_model text,
  ended_at timestamptz,
  settled_at timestamptz,
  CONSTRAINT batch_lines_once UNIQUE (workflow_id, step_key, generation, ordinal),
  CONSTRAINT batch_lines_state CHECK (state IN (
    'waiting', 'sent', 'answered', 'failed', 'dropped'))
);

CREATE INDEX batch_lines_waiting ON batch_lines (platform, organisation_id, endpoint, model, id)
  WHERE state = 'waiting';
CREATE INDEX batch_lines_by_batch ON batch_lines (batch_id, number) WHERE batch_id IS NOT NULL;
CREATE INDEX batch_lines_unsettled ON batch_lines (ended_at)
  WHERE ended_at IS NOT NULL AND settled_at IS NULL;
CREATE INDEX batch_lines_settled ON batch_lines (settled_at) WHERE settled_at IS NOT NULL;
