-- Adds to what a budget and the budgets around it have spent and reserved. The rows are locked from
-- the inner to the outer one, and are the last locks of the transaction. Called by account_v1.
CREATE OR REPLACE FUNCTION book_v1(p_budget uuid, p_spent bigint, p_reserved bigint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  WHILE p_budget IS NOT NULL LOOP
    UPDATE budgets SET spent = spent + p_spent, reserved = reserved + p_reserved
     WHERE workflow_id = p_budget RETURNING within_id INTO p_budget;
  END LOOP;
END $$;
