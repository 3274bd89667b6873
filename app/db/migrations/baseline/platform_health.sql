-- The last probe of each platform. response_time is in milliseconds.
CREATE TABLE platform_health (
  platform text PRIMARY KEY,
  is_ok boolean NOT NULL,
  error text,
  response_time integer NOT NULL,
  checked_at timestamptz DEFAULT clock_timestamp() NOT NULL
);
