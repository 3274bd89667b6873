-- One row for each time that a version was made the active one. A rollback returns to the version
-- of the newest earlier row that has no taken_back_at, and sets taken_back_at of all later rows.
CREATE TABLE definition_activations (
  id uuid DEFAULT uuidv7() PRIMARY KEY,
  name text NOT NULL,
  version integer NOT NULL,
  activated_at timestamptz DEFAULT clock_timestamp() NOT NULL,
  taken_back_at timestamptz,
  FOREIGN KEY (name, version) REFERENCES definitions (name, version)
);

CREATE INDEX definition_activations_by_name ON definition_activations (name, id);
