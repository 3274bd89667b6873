-- One row that all web servers share: when any of them last wrote its heartbeat, and when they last
-- came back after none was there (see front_beat_v1). looked_to: how far the reconciler has come,
-- by next_wake_at, with the waits whose webhooks may be lost since; null when it has looked at all.
CREATE TABLE front_beat (
  is_only boolean DEFAULT true PRIMARY KEY,
  beat_at timestamptz NOT NULL,
  back_at timestamptz NOT NULL,
  looked_to timestamptz
);
