-- The inputs of the starts that one workflow collects, until it starts and has them in its own input.
-- They are payloads, which SQL does not read.
CREATE TABLE start_items (
  workflow_id uuid NOT NULL,
  number integer NOT NULL,
  input jsonb NOT NULL,
  PRIMARY KEY (workflow_id, number)
);
