-- Each value that clock_offset has had, from the real time moved_at on (see moved_time).
CREATE TABLE clock_moves (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  moved_at timestamptz DEFAULT clock_timestamp() NOT NULL,
  amount interval NOT NULL
);

CREATE INDEX clock_moves_by_time ON clock_moves (moved_at);
