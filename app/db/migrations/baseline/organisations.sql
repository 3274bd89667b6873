-- Who owns workflows, files and definitions. Everything of one organisation is hidden from the others.
CREATE TABLE organisations (
  id uuid DEFAULT uuidv7() PRIMARY KEY,
  name text NOT NULL,
  created_at timestamptz DEFAULT clock_timestamp() NOT NULL
);
