-- Named sets of dates, for example public holidays, which the schedules of their user may refer to.
CREATE TABLE calendars (
  user_id uuid NOT NULL REFERENCES users (id),
  name text NOT NULL,
  organisation_id uuid NOT NULL,
  project_id uuid NOT NULL,
  dates date[] NOT NULL,
  created_at timestamptz DEFAULT clock_timestamp() NOT NULL,
  changed_at timestamptz DEFAULT clock_timestamp() NOT NULL,
  PRIMARY KEY (user_id, name),
  FOREIGN KEY (organisation_id, project_id) REFERENCES projects (organisation_id, id)
);
