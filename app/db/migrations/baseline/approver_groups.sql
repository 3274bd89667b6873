-- Named groups of the people who may decide approvals. A group belongs to a user, and the approvals of
-- this user's workflows may name it (group:<name>). members: e-mail addresses in their folded form, as
-- those of users; no user needs to have them. Who is a member is looked at when a decision is made.
CREATE TABLE approver_groups (
  user_id uuid NOT NULL REFERENCES users (id),
  name text NOT NULL,
  members text[] NOT NULL,
  created_at timestamptz DEFAULT clock_timestamp() NOT NULL,
  changed_at timestamptz DEFAULT clock_timestamp() NOT NULL,
  PRIMARY KEY (user_id, name)
);
