-- One row that all reconcilers share: when any of them last wrote its heartbeat, and until when no
-- lease may be ended (see reconciler_beat_v1).
CREATE TABLE reconciler_beat (
  is_only boolean DEFAULT true PRIMARY KEY,
  beat_at timestamptz NOT NULL,
  grace_until timestamptz NOT NULL
);
