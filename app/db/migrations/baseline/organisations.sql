-- Owners of workflows, files and definitions. An organisation cannot see what belongs to another.
CREATE TABLE organisations (
  id uuid DEFAULT uuidv7() PRIMARY KEY,
  name text NOT NULL,
  created_at timestamptz DEFAULT clock_timestamp() NOT NULL
);
