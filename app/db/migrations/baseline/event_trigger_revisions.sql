-- For each user with triggers, a number that rises with every change of them, in the transaction of
-- the change. Processes keep triggers in memory, and read them again if the number is another one.
CREATE TABLE event_trigger_revisions (
  user_id uuid PRIMARY KEY REFERENCES users (id),
  revision bigint DEFAULT 1 NOT NULL
);
