-- What was used and had no price, so that its cost was estimated.
CREATE TABLE price_gaps (
  platform text NOT NULL,
  item text NOT NULL,
  unit text NOT NULL,
  noted_at timestamptz DEFAULT clock_timestamp() NOT NULL,
  PRIMARY KEY (platform, item, unit)
);
