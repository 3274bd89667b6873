-- At most one row: what playalter_now() adds to the clock. Only a test database may have it.
CREATE TABLE clock_offset (
  is_only boolean DEFAULT true PRIMARY KEY,
  amount interval NOT NULL
);

CREATE TRIGGER clock_offset_only_in_tests BEFORE INSERT OR UPDATE ON clock_offset
  FOR EACH ROW EXECUTE FUNCTION clock_offset_only_in_tests();
