-- Holds: as long as a root workflow is held, it and its children are neither archived nor erased.
-- The rows of holds that were released stay.
CREATE TABLE archive_holds (
  id uuid DEFAULT uuidv7() PRIMARY KEY,
  organisation_id uuid NOT NULL,
  root_id uuid NOT NULL,
  reason text NOT NULL,
  held_by text NOT NULL,
  held_at timestamptz DEFAULT clock_timestamp() NOT NULL,
  released_by text,
  released_at timestamptz,
  CONSTRAINT archive_holds_released_whole CHECK ((released_by IS NULL) = (released_at IS NULL))
);

CREATE UNIQUE INDEX archive_holds_open ON archive_holds (root_id) WHERE released_at IS NULL;
