-- Subtracts p_count, the parts that have settled, from the parts that a join still waits for.
-- `ready` lists what this releases: the join itself after the last part (then `is_joined`), else
-- the first steps of the next p_count items, if items are left. The caller holds the workflow row
-- FOR NO KEY UPDATE, and sets publish_after of the steps in `ready`.
CREATE OR REPLACE FUNCTION settle_parts_v1(
  p_workflow uuid, p_join text, p_count integer, OUT ready text[], OUT is_joined boolean)
LANGUAGE plpgsql AS $$
DECLARE
  j record;
BEGIN
  ready := '{}';
  is_joined := false;
  UPDATE steps SET remaining = remaining - p_count, next_item = CASE WHEN next_item < item_count
         THEN least(next_item + p_count, item_count) ELSE next_item END
   WHERE workflow_id = p_workflow AND key = p_join
  RETURNING remaining, old.next_item AS item, new.next_item AS upto, item_heads INTO j;
  IF j.remaining = 0 THEN
    ready := ARRAY[p_join];
    is_joined := true;
  ELSIF j.upto > j.item THEN
    -- This is the only place in SQL that makes keys. It makes them as item_key of app/keys does.
    -- Only here is it known which items are next, and no index leads from an item's number to its
    -- rows.
    ready := ARRAY(SELECT format('%s[%s].%s', p_join, item, head)
                     FROM generate_series(j.item, j.upto - 1) AS item, unnest(j.item_heads) AS head);
  END IF;
END $$;
