-- What was used and had no price, so that its cost was estimated, or left out if no platform has a price
-- of the unit (is_counted is false).
CREATE TABLE price_gaps (
  platform text NOT NULL,
  item text NOT NULL,
  unit text NOT NULL,
  is_counted boolean DEFAULT true NOT NULL,
  noted_at timestamptz DEFAULT clock_timestamp() NOT NULL,
  PRIMARY KEY (platform, item, unit)
);
