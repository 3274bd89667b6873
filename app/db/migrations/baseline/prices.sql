-- The operators' prices of what platforms sell (see app/tariffs). Those that ship are in files; a row
-- here counts before them. usd is for as many of the unit as app/tariffs/rows.py says.
-- PostgreSQL takes NaN for larger than any number, so prices_usd refuses it.
CREATE TABLE prices (
  platform text NOT NULL,
  item text NOT NULL,
  unit text NOT NULL,
  tier text DEFAULT '' NOT NULL,
  context_over bigint DEFAULT 0 NOT NULL CONSTRAINT prices_context CHECK (context_over >= 0),
  starts_on date NOT NULL,
  usd numeric NOT NULL CONSTRAINT prices_usd CHECK (usd >= 0 AND usd < 1000000),
  source text DEFAULT '' NOT NULL,
  set_at timestamptz DEFAULT clock_timestamp() NOT NULL,
  PRIMARY KEY (platform, item, unit, tier, context_over, starts_on)
);
