-- Trigger on steps, fired when a step's cost or reservation changes, or when the status of a step
-- with a reservation changes. It keeps the workflow's column `spent` (what the calls of its own
-- steps have cost, in micro-USD), the costs of the workflows above it, and the budgets.
--
-- A cost that is corrected to a lower one gives nothing back to the reservation. A cost is booked
-- against the step's reservation, and the cost of a compensation against that of
-- the row that it undoes. A step that can cost nothing more gives the rest
-- back (see may_still_cost_v1). If a step of a workflow with a budget costs more than it had
-- reserved, the cost is booked and the workflow is marked for attention, because then its action
-- declares too low a ceiling. If the budget is exceeded now too, no step is claimed any more, and
-- the workflow becomes due, so that the reconciler stops the workflow that has the budget.
--
-- The transaction already holds the workflow row FOR NO KEY UPDATE: so does everything that writes
-- a cost, a reservation or the status of a step that has one.
CREATE OR REPLACE FUNCTION account_v1() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  budget uuid;
  spends bigint := coalesce(NEW.cost, 0) - coalesce(OLD.cost, 0);
  had bigint := coalesce(OLD.reserved, 0);
  has bigint := coalesce(NEW.reserved, 0);
  keeps bigint;
BEGIN
  IF spends <> 0 THEN
    UPDATE workflows SET spent = spent + spends WHERE id = NEW.workflow_id;
    PERFORM tell_ancestors_v1(NEW.workflow_id, spends);
    UPDATE steps SET reserved = greatest(reserved - spends, 0)
     WHERE workflow_id = NEW.workflow_id AND key = NEW.of_key AND NEW.kind <> 'step'
       AND reserved > 0 AND spends > 0;
  END IF;
  SELECT budget_id INTO budget FROM workflows WHERE id = NEW.workflow_id;
  IF budget IS NULL THEN RETURN NULL; END IF;
  IF spends <> 0 OR has <> had THEN
    PERFORM book_v1(budget, spends, has - had);
  END IF;
  IF has = had AND has > 0 THEN
    keeps := CASE WHEN may_still_cost_v1(NEW.workflow_id, NEW.key, OLD.status)
                  THEN greatest(has - greatest(spends, 0), 0) ELSE 0 END;
    -- Fires this trigger again, which books what is given back.
    UPDATE steps SET reserved = keeps
     WHERE workflow_id = NEW.workflow_id AND key = NEW.key AND reserved <> keeps;
  END IF;
  IF spends > had THEN
    IF NEW.kind = 'step' THEN
      PERFORM call_person_v1(NEW.workflow_id, NEW.key, 'cost_above_ceiling');
    END IF;
    IF exceeded_budget_v1(NEW.workflow_id, budget) IS NOT NULL THEN
      UPDATE workflows SET next_wake_at = least(next_wake_at, playalter_now())
       WHERE id = NEW.workflow_id AND status = 'running';
    END IF;
  END IF;
  RETURN NULL;
END $$;
