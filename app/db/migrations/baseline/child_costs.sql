-- What each child has cost at the platforms, in micro-USD: a row for each workflow above it, its
-- parent and so on. Only children that have cost something have rows. With these rows the cost of a
-- workflow is known without reading all its children. Only a transaction that holds the child's row
-- writes them, so they are never waited for. No foreign keys: see is_not_needed_v1.
CREATE TABLE child_costs (
  ancestor_id uuid NOT NULL,
  workflow_id uuid NOT NULL,
  spent bigint NOT NULL,
  PRIMARY KEY (ancestor_id, workflow_id)
);
