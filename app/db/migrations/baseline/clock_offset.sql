-- At most one row: what playalter_now() adds to the clock. Only the database of a sandbox or of a test
-- may have it.
CREATE TABLE clock_offset (
  is_only boolean DEFAULT true PRIMARY KEY,
  amount interval NOT NULL
);

CREATE TRIGGER clock_moves_only_in_sandboxes BEFORE INSERT OR UPDATE ON clock_offset
  FOR EACH ROW EXECUTE FUNCTION clock_moves_only_in_sandboxes();
CREATE TRIGGER note_clock_move AFTER INSERT OR UPDATE OR DELETE ON clock_offset
  FOR EACH ROW EXECUTE FUNCTION note_clock_move();
