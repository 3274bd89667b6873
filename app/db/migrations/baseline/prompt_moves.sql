-- One row for each time that a label began to point to another version, or to none (to_version is
-- null). The versions may have been deleted since. The times of a prompt's moves rise strictly, in
-- the order of their ids: who moves a label holds the lock of the prompt, and reads the clock then. A
-- workflow uses the version to which the label pointed when it started, by these rows (see
-- prompt_version_at_v1), so only taken_back_at is ever changed. Old rows that nothing needs are
-- deleted (see trim_prompt_moves_v1).
--
-- A rollback points the label to the version of the newest move before the present one that is no
-- rollback and has no taken_back_at, and sets taken_back_at of all later ones.
CREATE TABLE prompt_moves (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  prompt_id uuid NOT NULL REFERENCES prompts (id),
  label text NOT NULL,
  from_version integer,
  to_version integer,
  moved_at timestamptz NOT NULL,
  moved_by uuid NOT NULL REFERENCES users (id),
  is_rollback boolean NOT NULL,
  reason text,
  taken_back_at timestamptz,
  CONSTRAINT prompt_moves_rollback_to_a_version CHECK (NOT is_rollback OR to_version IS NOT NULL)
);

CREATE INDEX prompt_moves_by_label ON prompt_moves (prompt_id, label, moved_at);
