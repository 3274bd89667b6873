-- The pools of start lanes. The lanes of one pool compete by start-time fair queueing. v is the tag
-- of the start that was admitted last (virtual time).
CREATE TABLE flow_pools (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  owner uuid NOT NULL,
  v double precision DEFAULT 0 NOT NULL,
  scope text NOT NULL,
  name text NOT NULL,
  UNIQUE (name, scope, owner)
)
WITH (fillfactor = 50);
