-- Orphan effects: what works at a vendor for one of our steps and is not the step's own: a doubled
-- call, or what a step that was passed over has left. Each is found once and taken back by rows of its
-- own, `<step>~orphan[<external id>]` and its compensation, under the step protocol. It has no part in
-- its workflow's course: it is run while that runs, stops, or has ended.
ALTER TABLE webhook_deliveries
  ADD COLUMN effect_id text,
  ADD COLUMN effect_workflow_id uuid,
  ADD COLUMN effect_step_key text,
  ADD COLUMN fate text,
  ADD CONSTRAINT webhook_deliveries_fate CHECK (fate IN ('own', 'orphan'));
CREATE INDEX webhook_deliveries_undecided ON webhook_deliveries (received_at)
  WHERE effect_workflow_id IS NOT NULL AND fate IS NULL;
CREATE INDEX webhook_deliveries_by_effect ON webhook_deliveries (effect_workflow_id)
  WHERE effect_workflow_id IS NOT NULL;

-- Both speak of columns that never change: no update of a step loses its HOT chain.
CREATE INDEX steps_orphans ON steps (workflow_id) WHERE undo AND key LIKE '%~orphan[%';
-- The addresses of uploads, whose length is the vendor's affair.
CREATE INDEX intents_by_address ON intents USING hash ((response ->> 'url'))
  WHERE operation LIKE 'files.create%';

-- A verified webhook, once; with the step whose effect p_effect it speaks of, where it carries one:
-- its reference (p_workflow, p_step), or the address of a file that was uploaded for it.
-- p_traced: the actions whose effects can be taken back by their id. False for a duplicate.
CREATE FUNCTION accept_delivery_v1(
  p_platform text, p_delivery_id text, p_external_id text, p_kind text, p_payload jsonb,
  p_effect text, p_workflow uuid, p_step text, p_addresses text[], p_traced text[])
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  s record;
BEGIN
  IF p_effect IS NOT NULL AND p_workflow IS NULL THEN
    -- Materialized: for the first of many that it expects the planner would read the whole table.
    WITH found AS MATERIALIZED (
      SELECT workflow_id, step_key FROM intents
       WHERE response ->> 'url' = ANY (p_addresses) AND operation LIKE 'files.create%')
    SELECT workflow_id, step_key INTO p_workflow, p_step FROM found LIMIT 1;
  END IF;
  SELECT workflow_id, key, CASE WHEN external_id = p_effect THEN 'own' END AS fate INTO s FROM steps
   WHERE workflow_id = p_workflow AND key = p_step AND action = ANY (p_traced) AND NOT undo
     AND split_part(action, '.', 1) = p_platform AND p_effect IS NOT NULL;
  INSERT INTO webhook_deliveries (platform, delivery_id, external_id, kind, payload, effect_id,
                                  effect_workflow_id, effect_step_key, fate)
  VALUES (p_platform, p_delivery_id, p_external_id, p_kind, p_payload,
          CASE WHEN s.key IS NOT NULL THEN p_effect END, s.workflow_id, s.key, s.fate)
  ON CONFLICT DO NOTHING;
  RETURN FOUND;
END $$;

-- Whose the effect of a delivery is, once nothing can change that: a step that runs, or whose call is
-- open, may still adopt it. The caller knows the delivery's step; p_orphan is what add_orphan_v1 takes.
-- verdicts: own | orphan | later | decided (before)
CREATE FUNCTION decide_delivery_v1(p_delivery uuid, p_orphan jsonb) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
  d record;
  w record;
  s record;
  verdict text;
BEGIN
  SELECT effect_workflow_id AS workflow_id, effect_step_key AS step_key, effect_id INTO d
    FROM webhook_deliveries
   WHERE id = p_delivery AND fate IS NULL AND effect_workflow_id IS NOT NULL;
  IF NOT FOUND THEN RETURN 'decided'; END IF;
  -- Every outcome takes this lock, and so does whatever lets a step that has ended run again. Nobody
  -- waits for it here: the next pass comes.
  SELECT completed_at INTO w FROM workflows WHERE id = d.workflow_id FOR NO KEY UPDATE SKIP LOCKED;
  IF NOT FOUND THEN RETURN 'later'; END IF;
  SELECT status, external_id, generation, output INTO s FROM steps
   WHERE workflow_id = d.workflow_id AND key = d.step_key;
  verdict := CASE
    WHEN is_own_effect_v1(d.workflow_id, d.step_key, d.effect_id) THEN 'own'
    WHEN s.status IN ('succeeded', 'skipped', 'compensated') THEN 'orphan'
    -- Its compensation, or a person's retry, may look the open call up and find this one.
    WHEN s.status IN ('failed', 'cancelled') THEN CASE
      WHEN w.completed_at IS NULL AND EXISTS (
        SELECT FROM intents WHERE workflow_id = d.workflow_id AND step_key = d.step_key
           AND resolution IS NULL) THEN 'later' ELSE 'orphan' END
    -- What a step waits for it keeps; only a new generation, which finds nothing of the old, drops it.
    WHEN s.external_id IS NOT NULL THEN 'orphan'
    ELSE 'later' END;
  IF verdict = 'later' THEN RETURN verdict; END IF;
  UPDATE webhook_deliveries SET fate = verdict WHERE id = p_delivery AND fate IS NULL;
  IF verdict = 'orphan' THEN PERFORM add_orphan_v1(d.workflow_id, d.step_key, p_orphan); END IF;
  RETURN verdict;
END $$;

-- Whether the effect is what the step waits for, has recorded or told; or another step's, whatever it
-- seems to carry. Where a person has said what the step's output is, or that a call was made and not
-- what came of it, nobody can tell, and nothing is taken back.
CREATE FUNCTION is_own_effect_v1(p_workflow uuid, p_key text, p_effect text) RETURNS boolean
LANGUAGE sql STABLE AS $$
  SELECT EXISTS (SELECT FROM steps WHERE external_id = p_effect AND key NOT LIKE '%~orphan[%')
      OR EXISTS (SELECT FROM steps WHERE workflow_id = p_workflow AND key = p_key
                    AND resolved_output IS NOT NULL)
      OR EXISTS (
           SELECT FROM intents i JOIN steps s ON (s.workflow_id, s.key) = (i.workflow_id, i.step_key)
            WHERE s.workflow_id = p_workflow AND s.key = p_key AND i.generation = s.generation
              AND i.resolution = 'accepted'
              AND (i.response IS NULL OR i.response ->> 'id' = p_effect))
      OR EXISTS (
           SELECT FROM steps s, jsonb_each_text(CASE jsonb_typeof(s.output) WHEN 'object'
                                                     THEN s.output ELSE '{}' END) AS told
            WHERE s.workflow_id = p_workflow AND s.key IN (p_key, p_key || '~undo')
              AND told.value = p_effect)
$$;

-- The rows that take an effect back, and the event that it was found; once for each effect. p_orphan:
-- {external_id, key, task_id, undo_task_id}. The caller holds the workflow row; the reconciler
-- publishes.
CREATE FUNCTION add_orphan_v1(p_workflow uuid, p_step text, p_orphan jsonb) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO steps (workflow_id, key, task_id, position, action, status, external_id, finished_at)
  SELECT p_workflow, p_orphan ->> 'key', (p_orphan ->> 'task_id')::uuid, position, action, 'skipped',
         p_orphan ->> 'external_id', clock_timestamp()
    FROM steps WHERE workflow_id = p_workflow AND key = p_step
  ON CONFLICT DO NOTHING;
  IF NOT FOUND THEN RETURN; END IF;
  INSERT INTO steps (workflow_id, key, task_id, position, action, status, undo, publish_after)
  SELECT p_workflow, key || '~undo', (p_orphan ->> 'undo_task_id')::uuid, position, action, 'pending',
         true, clock_timestamp()
    FROM steps WHERE workflow_id = p_workflow AND key = p_orphan ->> 'key';
  PERFORM append_event_v1(p_workflow, 'OrphanFound', p_step,
                          jsonb_build_object('external_id', p_orphan ->> 'external_id'));
  PERFORM wake_by_v1(p_workflow, playalter_now());
END $$;

-- Whether a person is called for an orphan: the workflow's end does not answer that.
CREATE FUNCTION has_failed_orphan_v1(p_workflow uuid) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT EXISTS (SELECT FROM steps WHERE workflow_id = p_workflow AND undo
                    AND key LIKE '%~orphan[%' AND status = 'failed')
$$;
