-- The last workflow of each singleton. It may have ended, and then the next start takes its place.
-- No foreign key: a start would lock the row of the workflow whose place it takes.
CREATE TABLE singletons (
  user_id uuid NOT NULL,
  type text NOT NULL,
  key text NOT NULL,
  workflow_id uuid NOT NULL,
  PRIMARY KEY (user_id, type, key)
);
