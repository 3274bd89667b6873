-- Labels of prompts, for example production: each points to a version, which cannot be deleted.
CREATE TABLE prompt_labels (
  prompt_id uuid NOT NULL,
  label text NOT NULL,
  version integer NOT NULL,
  moved_at timestamptz NOT NULL,
  PRIMARY KEY (prompt_id, label),
  FOREIGN KEY (prompt_id, version) REFERENCES prompt_versions (prompt_id, version)
);
