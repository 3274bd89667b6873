-- The last change of each circuit (app/outbound/circuits): whether an operation is called.
-- until is when an open circuit lets a call through.
CREATE TABLE platform_circuits (
  platform text,
  operation text,
  state text NOT NULL CHECK (state IN ('open', 'closed')),
  reason text NOT NULL,
  until timestamptz,
  changed_at timestamptz NOT NULL,
  PRIMARY KEY (platform, operation)
);
