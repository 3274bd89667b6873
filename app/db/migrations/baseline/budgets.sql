-- What workflows with a budget may cost at the platforms, in micro-USD. A workflow without a budget
-- has no row here. A child without a budget of its own spends its parent's. A child with one spends
-- both: `within_id` is the budget around its own.
--
--   amount: the budget
--   applies: false if it limits nothing any more, because it was exceeded after the pivot (the step
--     after which nothing is undone). A fork still gets a budget of this amount.
--   spent: what the calls of the workflow and its children have cost
--   reserved: the sum of `reserved` of the steps of these workflows and of their effects for which it
--     is not decided yet whether they are orphans: what they may still cost
--   is_exceeded: a step may cost more than is left, and no other step holds a reservation
--
-- spent + reserved <= amount, unless the budget applies no more, a child past its pivot goes on
-- beyond it (see `outlives_budget` of workflows), or a call has cost more than the ceiling that its action declares.
-- A row is the last lock of a transaction. A transaction that locks several locks the inner one
-- first. No foreign keys: see is_not_needed_v1.
CREATE TABLE budgets (
  workflow_id uuid PRIMARY KEY,
  within_id uuid,
  amount bigint NOT NULL,
  applies boolean DEFAULT true NOT NULL,
  spent bigint DEFAULT 0 NOT NULL,
  reserved bigint DEFAULT 0 NOT NULL,
  is_exceeded boolean DEFAULT false NOT NULL,
  CONSTRAINT budgets_reserved CHECK (reserved >= 0)
)
-- Each paid step changes its budget's row twice, and changes no indexed column.
WITH (fillfactor = 50);
