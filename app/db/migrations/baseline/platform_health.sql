-- The last probe of each platform.
CREATE TABLE platform_health (
  platform text PRIMARY KEY,
  is_ok boolean NOT NULL,
  error text,
  response_time integer NOT NULL,
  checked_at timestamptz DEFAULT clock_timestamp() NOT NULL
);
