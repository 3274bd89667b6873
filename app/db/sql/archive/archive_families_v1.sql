-- Archives families: root workflows with all their children, whose bundles are written and verified.
-- In this one transaction it inserts their rows into `archived` and deletes all their other rows.
-- Returns the roots that were archived. The others have changed since their bundles were made, or
-- another transaction holds a row of theirs; nothing was changed of them.
--
-- p_volume: the file that has the bundles; it must not have been given up. p_bundles: of each bundle its
-- id, root, place in the file, hash and types, and when the last workflow ended; ids, seqs and hashes:
-- of each of its workflows the id, in ascending order, and the head of the events in the bundle; rows:
-- how many rows it has that are to be deleted; deliveries: the ids of the webhooks in it; kept_seconds:
-- how long the bundle is kept, null for ever.
--
-- The workflow rows are locked FOR UPDATE in ascending order, with SKIP LOCKED. All who write rows of
-- a workflow hold its row, so none is added after that. If the number of deleted rows differs from that
-- in the bundles, everything is undone: an error is raised.
CREATE OR REPLACE FUNCTION archive_families_v1(p_volume uuid, p_bundles jsonb) RETURNS uuid[]
LANGUAGE plpgsql AS $$
DECLARE
  roots uuid[];
  family uuid[];
  locked uuid[];
  wanted bigint;
  deleted bigint := 0;
  number bigint;
  statement text;
BEGIN
  CREATE TEMP TABLE IF NOT EXISTS bundles_given (
    bundle uuid, root uuid, start bigint, size bigint, sha256 text, types text[],
    ended_at timestamptz, ids uuid[], seqs integer[], hashes text[], rows bigint, deliveries uuid[],
    kept_seconds double precision)
    ON COMMIT DELETE ROWS;
  DELETE FROM bundles_given;
  INSERT INTO bundles_given SELECT * FROM jsonb_to_recordset(p_bundles) AS b (
    bundle uuid, root uuid, start bigint, size bigint, sha256 text, types text[],
    ended_at timestamptz, ids uuid[], seqs integer[], hashes text[], rows bigint, deliveries uuid[],
    kept_seconds double precision);
  SELECT array_agg(id) INTO locked FROM (
    SELECT id FROM workflows WHERE id IN (SELECT unnest(ids) FROM bundles_given)
     ORDER BY id FOR UPDATE SKIP LOCKED) AS l;
  -- In statements after the locks, which see what was committed before them.
  DELETE FROM bundles_given WHERE NOT ids <@ locked OR locked IS NULL;
  WITH found AS MATERIALIZED (
    SELECT f.root_id, f.ids FROM archivable_v1((SELECT array_agg(root) FROM bundles_given)) AS f
     WHERE f.refusal IS NULL)
  DELETE FROM bundles_given AS b WHERE NOT EXISTS (
    SELECT FROM found AS f WHERE f.root_id = b.root AND f.ids = b.ids);
  DELETE FROM bundles_given AS b WHERE EXISTS (
    SELECT FROM unnest(b.ids, b.seqs, b.hashes) AS h (id, seq, hash)
     WHERE (h.seq, decode(h.hash, 'hex')) IS DISTINCT FROM (
       SELECT (e.seq, e.hash) FROM events AS e WHERE e.workflow_id = h.id ORDER BY e.seq DESC LIMIT 1));
  SELECT array_agg(root), sum(rows) INTO roots, wanted FROM bundles_given;
  IF roots IS NULL THEN RETURN '{}'; END IF;
  SELECT array_agg(id) INTO family FROM (SELECT unnest(ids) AS id FROM bundles_given) AS f;
  UPDATE archive_volumes SET state = 'kept' WHERE id = p_volume AND state = 'writing';
  -- A file that was given up must not be used: it is being removed.
  IF NOT FOUND THEN RETURN '{}'; END IF;
  UPDATE archive_bundles SET state = 'replaced'
   WHERE root_id = ANY (roots) AND state = 'restored';
  INSERT INTO archive_bundles (id, root_id, organisation_id, volume_id, start, size, archived_at,
                               ended_at, expires_at, workflows, sha256, types, state)
  SELECT b.bundle, b.root, w.organisation_id, p_volume, b.start, b.size, playalter_now(), b.ended_at,
         playalter_now() + seconds(b.kept_seconds), cardinality(b.ids), decode(b.sha256, 'hex'), b.types, 'archived'
    FROM bundles_given AS b JOIN workflows AS w ON w.id = b.root;

  INSERT INTO archived (workflow_id, root_id, organisation_id, project_id, user_id, created_at, cost,
                        budget, budget_id, version, head_seq, priority, is_paused, type, status, cause,
                        idempotency_key, request_hash, parent_id, forked_from, starts_at, started_at,
                        completed_at, head_hash, bundle_id, archived_at)
  SELECT w.id, b.root, w.organisation_id, w.project_id, w.user_id, w.created_at,
         w.spent + coalesce((SELECT sum(c.spent) FROM child_costs AS c WHERE c.ancestor_id = w.id), 0),
         CASE WHEN m.applies THEN m.amount END, w.budget_id, w.version, h.seq, w.priority,
         w.paused_at IS NOT NULL, w.type, w.status, w.cause, w.idempotency_key, w.request_hash,
         w.parent_id, w.forked_from, w.starts_at, w.started_at, w.completed_at,
         decode(h.hash, 'hex'), b.bundle, playalter_now()
    FROM bundles_given AS b CROSS JOIN LATERAL unnest(b.ids, b.seqs, b.hashes) AS h (id, seq, hash)
    JOIN workflows AS w ON w.id = h.id LEFT JOIN budgets AS m ON m.workflow_id = w.id
  ON CONFLICT (workflow_id) DO UPDATE SET
         root_id = excluded.root_id, cost = excluded.cost, budget = excluded.budget,
         status = excluded.status, cause = excluded.cause, is_paused = excluded.is_paused,
         completed_at = excluded.completed_at, head_seq = excluded.head_seq,
         head_hash = excluded.head_hash, bundle_id = excluded.bundle_id,
         archived_at = excluded.archived_at, state = 'archived', restored_at = NULL,
         restored_by = NULL;

  DELETE FROM webhook_deliveries WHERE id IN (SELECT unnest(deliveries) FROM bundles_given);
  GET DIAGNOSTICS number = ROW_COUNT;
  deleted := deleted + number;
  -- Objects at platforms that the workflows had claimed and have not changed are free now.
  DELETE FROM platform_objects AS o WHERE o.workflow_id = ANY (family)
     AND o.organisation_id IS NULL AND NOT EXISTS (
    SELECT FROM intents AS i WHERE i.workflow_id = o.workflow_id AND i.step_key = o.step_key
       AND (i.resolution IS NULL OR i.resolution = 'accepted'));
  FOREACH statement IN ARRAY ARRAY[
    'platform_logs WHERE workflow_id', 'workflow_artifacts WHERE workflow_id',
    'dead_letters WHERE workflow_id', 'booked_effects WHERE workflow_id',
    'child_costs WHERE ancestor_id', 'budgets WHERE workflow_id', 'intents WHERE workflow_id',
    'steps WHERE workflow_id', 'events WHERE workflow_id', 'workflows WHERE id'] LOOP
    EXECUTE format('DELETE FROM %s = ANY ($1)', statement) USING family;
    GET DIAGNOSTICS number = ROW_COUNT;
    deleted := deleted + number;
  END LOOP;
  IF deleted <> wanted THEN
    RAISE EXCEPTION 'the bundles have % rows, and % would be deleted', wanted, deleted
      USING ERRCODE = 'data_exception';
  END IF;
  RETURN roots;
END $$;
