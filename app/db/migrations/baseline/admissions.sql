-- What admit_v1 has published lately: one row for each call. While a workflow is lined up, the
-- reconciler does not look at it. So it reads here, some seconds later, which workflows it must look
-- at from then on (see look_at_admitted_v1).
CREATE TABLE admissions (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at timestamptz DEFAULT clock_timestamp() NOT NULL,
  workflow_ids uuid[] NOT NULL
);
