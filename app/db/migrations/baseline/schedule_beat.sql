-- One row that all processes of Celery beat share: when any of them last fired what was due. If that
-- is too long ago, the reconciler fires it. tzdata: the newest version of the rules of time zones that
-- any of them has used.
CREATE TABLE schedule_beat (
  is_only boolean DEFAULT true PRIMARY KEY,
  beat_at timestamptz NOT NULL,
  tzdata text NOT NULL
);
