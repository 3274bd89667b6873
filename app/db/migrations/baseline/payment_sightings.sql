-- Payments that were seen lately, so that rules can count how many one card, one e-mail address or one
-- postal address makes (app/sightings.py). card, email, address: keyed hashes (HMAC-SHA256); what
-- they are hashes of is stored nowhere. amount: in minor units. A payment has one row, however often it
-- is reported. It is deleted after expires_at, when no rule looks back so far, and at any time for the
-- person whom it is about. No foreign keys: it outlives neither, and erasing a workflow needs no search.
CREATE TABLE payment_sightings (
  organisation_id uuid NOT NULL,
  platform text NOT NULL,
  payment_id text NOT NULL,
  card bytea,
  email bytea,
  address bytea,
  amount bigint NOT NULL,
  currency text NOT NULL,
  seen_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  PRIMARY KEY (organisation_id, platform, payment_id)
);

CREATE INDEX payment_sightings_by_card ON payment_sightings (card, seen_at)
  WHERE card IS NOT NULL;
CREATE INDEX payment_sightings_by_email ON payment_sightings (email, seen_at)
  WHERE email IS NOT NULL;
CREATE INDEX payment_sightings_by_address ON payment_sightings (address, seen_at)
  WHERE address IS NOT NULL;
CREATE INDEX payment_sightings_expired ON payment_sightings (expires_at);
