-- The lanes of a queue that is backed up: each user's steps wait in a lane of their own, and the
-- lanes take turns. The lane with the lowest turn is served next (start-time fair queueing, Goyal
-- and others, 1997). A lane that is not is_waiting has no entries. weight is that of the user: a step
-- moves the turn of the lane by 1 / weight.
CREATE TABLE lanes (
  queue text NOT NULL,
  user_id uuid NOT NULL,
  turn double precision NOT NULL,
  weight double precision DEFAULT 1 NOT NULL,
  is_waiting boolean NOT NULL,
  PRIMARY KEY (queue, user_id)
);
CREATE INDEX lanes_in_turn ON lanes (queue, turn, user_id) WHERE is_waiting;
