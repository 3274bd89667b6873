-- One message for one endpoint, and what became of it.
--
-- status: pending (it is due at due_at); sending (a sender has it until lease_until, by its fence);
-- delivered; failed (no further attempt is made); missed (the endpoint was disabled). turn: the order
-- among those that are due: 0 a ping by the user, 1 a new one, 2 one that is sent again. attempts
-- are those since it was new or was replayed, tried_at is the time of the last.
--
-- No foreign keys: the transactions of events insert rows here, and each would lock the endpoint.
CREATE TABLE webhook_sendings (
  message_id uuid NOT NULL,
  endpoint_id uuid NOT NULL,
  created_at timestamptz NOT NULL,
  status text NOT NULL,
  turn smallint DEFAULT 1 NOT NULL,
  attempts smallint DEFAULT 0 NOT NULL,
  due_at timestamptz NOT NULL,
  tried_at timestamptz,
  fence uuid,
  lease_until timestamptz,
  PRIMARY KEY (message_id, endpoint_id),
  CONSTRAINT webhook_sendings_status CHECK (
    status IN ('pending', 'sending', 'delivered', 'failed', 'missed'))
)
WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);

-- What waits, endpoint by endpoint: thousands of messages for one that is away delay no other.
CREATE INDEX webhook_sendings_waiting ON webhook_sendings (endpoint_id, turn, due_at)
  WHERE status = 'pending';
CREATE INDEX webhook_sendings_in_flight ON webhook_sendings (endpoint_id, lease_until)
  WHERE status = 'sending';
-- What may be replayed, so that it is found among many that were delivered.
CREATE INDEX webhook_sendings_undelivered ON webhook_sendings (endpoint_id, created_at)
  WHERE status IN ('failed', 'missed');
CREATE INDEX webhook_sendings_of_endpoint ON webhook_sendings (endpoint_id, created_at);
