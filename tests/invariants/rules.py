"""The invariants, with the statements of those that the database alone can tell."""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True)
class Invariant:
    """`sql` reads the CTEs `chosen` (rows of workflows) and `happened` (their events, with the
    body as `b`) and selects (workflow_id, what) of what breaks the rule."""

    number: int
    sentence: str
    sql: str | None = None


@dataclass(frozen=True)
class Broken:
    """One finding."""

    number: int
    workflow_id: UUID
    what: str


CHOSEN = "SELECT * FROM workflows WHERE %s::uuid[] IS NULL OR id = ANY (%s::uuid[])"

_TERMINAL = "('succeeded', 'failed', 'compensated', 'cancelled')"
_DONE = "('succeeded', 'skipped', 'compensated')"
_IS_TURN_OR_WAY = (
    "EXISTS (SELECT FROM steps b WHERE b.workflow_id = j.workflow_id"
    " AND (b.key = j.key || '~choose' OR b.key = j.key || '~expand' AND b.action = 'control.turn'))"
)

INVARIANTS = (
    Invariant(
        1,
        "A workflow that is not terminal has a finite next_wake_at.",
        f"SELECT id, status FROM chosen WHERE status NOT IN {_TERMINAL}"
        " AND (next_wake_at IS NULL OR NOT isfinite(next_wake_at))",
    ),
    Invariant(
        2,
        "A step has one accepted outcome, and another one only after a person asked for a retry.",
        """
        SELECT workflow_id, step || ' ended ' || sum(ends) || ' times' FROM (
          SELECT workflow_id, b ->> 'step' AS step,
                 CASE WHEN b ->> 'type' = 'StepRetryRequested' THEN -1 ELSE 1 END AS ends
            FROM happened WHERE b ->> 'type' IN ('StepSucceeded', 'StepSkipped', 'StepFailed',
                 'StepCancelled', 'StepAdopted', 'StepRetryRequested')
          UNION ALL
          SELECT workflow_id, (b ->> 'step') || '~undo',
                 CASE b ->> 'type' WHEN 'StepCompensated' THEN 1 ELSE -1 END FROM happened
           WHERE b ->> 'type' IN ('StepCompensated', 'UndoFailed')
          UNION ALL
          SELECT workflow_id, jsonb_array_elements_text(b -> 'data' -> 'skipped'), 1 FROM happened
           WHERE b -> 'data' ? 'skipped') AS each
         GROUP BY workflow_id, step HAVING sum(ends) > 1
        """,
    ),
    Invariant(
        3,
        "There is no effect without an intent that was recorded before it, and no intent of a step"
        " that nobody claimed.",
        "SELECT i.workflow_id, i.step_key FROM intents i JOIN chosen w ON w.id = i.workflow_id"
        " JOIN steps s ON (s.workflow_id, s.key) = (i.workflow_id, i.step_key)"
        " WHERE s.claims = 0 AND s.adopted_from IS NULL",
    ),
    Invariant(
        4,
        "No step is claimed before what it follows is done and has released it.",
        f"""
        SELECT s.workflow_id, s.key || ' before ' || p.key FROM chosen w
          JOIN steps s ON s.workflow_id = w.id AND s.claims > 0
          JOIN steps p ON p.workflow_id = w.id AND s.key = ANY (p.next_keys)
         WHERE p.status NOT IN {_DONE}
        UNION ALL
        SELECT w.id, s.key || ' was not released' FROM chosen w
          JOIN steps s ON s.workflow_id = w.id AND s.claims > 0
           AND (s.publish_after IS NULL OR s.ready_at IS NULL AND s.kind <> 'orphan_undo')
        UNION ALL
        SELECT w.id, j.key || ' lacks ' || j.remaining FROM chosen w
          JOIN steps j ON j.workflow_id = w.id AND j.claims > 0
         WHERE j.remaining > 0 AND NOT {_IS_TURN_OR_WAY}
        UNION ALL
        SELECT w.id, s.key || ' before ' || c.key FROM chosen w
          JOIN steps c ON c.workflow_id = w.id AND c.action = 'control.choose'
           AND c.status <> 'succeeded'
          JOIN steps s ON s.workflow_id = w.id AND s.claims > 0
           AND (s.key || '~choose' = c.key OR s.join_key || '~choose' = c.key)
        """,
    ),
    Invariant(
        5,
        "Nothing is undone of which it is proven that it never happened.",
        """
        SELECT w.id, u.key FROM chosen w
          JOIN steps u ON u.workflow_id = w.id AND u.kind = 'undo'
          JOIN steps s ON s.workflow_id = w.id AND s.key = u.of_key AND s.action = u.action
          JOIN intents i ON i.workflow_id = w.id AND i.step_key = s.key
         GROUP BY w.id, u.key HAVING bool_and(i.resolution IS NOT DISTINCT FROM 'never')
        """,
    ),
    Invariant(6, "Everything else is undone before a workflow that undoes has ended."),
    Invariant(
        7,
        "No claim of a step commits after the barrier of a stop (the lookup of an unknown aside).",
        """
        SELECT w.id, s.key FROM chosen w
          JOIN steps s ON s.workflow_id = w.id AND s.kind = 'step'
          JOIN happened e ON e.workflow_id = w.id AND e.b ->> 'type' = 'WorkflowStopping'
         WHERE NOT EXISTS (SELECT FROM clock_offset)
           AND NOT EXISTS (SELECT FROM happened r WHERE r.workflow_id = w.id
                              AND r.b ->> 'type' = 'StopRefused')
           AND s.started_at > to_timestamp((e.b ->> 'at')::bigint / 1e6) + interval '30 seconds'
        """,
    ),
    Invariant(8, "A win of publish_after is published once at most."),
    Invariant(
        9,
        "A terminal state stays; a child that succeeded may be reopened by its parent's undoing,"
        " and an undone workflow by the later failure of a compensation.",
        f"""
        SELECT workflow_id, b ->> 'type' FROM (
          SELECT workflow_id, b, (
            SELECT t.b ->> 'type' FROM happened t WHERE t.workflow_id = e.workflow_id
               AND t.seq < e.seq AND (t.b -> 'data' ? 'is_reopened' OR t.b ->> 'type' IN (
                 'WorkflowSucceeded', 'WorkflowCompensated', 'WorkflowCancelled', 'WorkflowFailed'))
             ORDER BY t.seq DESC LIMIT 1) AS ended FROM happened e) AS each
         WHERE ended NOT IN ('WorkflowStopping', 'UndoFailed')
           AND (b -> 'data' ? 'is_reopened') IS NOT TRUE
           AND b ->> 'type' NOT IN ('WorkflowForked', 'WorkflowReplayed', 'DeadLetterDismissed',
                                    'AttentionResolved', 'OrphanFound', 'EffectFailed')
           AND (b -> 'data' ->> 'reason' = 'effect_failed') IS NOT TRUE
           AND NOT EXISTS (SELECT FROM steps s WHERE s.workflow_id = each.workflow_id
                              AND s.key = b ->> 'step' AND s.kind IN ('orphan', 'orphan_undo'))
        UNION ALL
        SELECT id, status FROM chosen WHERE (completed_at IS NULL) = (status IN {_TERMINAL})
        """,
    ),
    Invariant(
        10,
        "The events of a workflow are numbered without a gap and chained without a break.",
        """
        SELECT workflow_id, 'event ' || seq FROM (
          SELECT workflow_id, seq, b, hash, body, lag(hash) OVER each AS previous,
                 row_number() OVER each AS number
            FROM happened WINDOW each AS (PARTITION BY workflow_id ORDER BY seq)) AS chain
         WHERE seq <> number OR (b ->> 'seq')::integer <> seq OR hash <>
           sha256(coalesce(previous, sha256(uuid_send(workflow_id))) || convert_to(body, 'UTF8'))
        UNION ALL
        SELECT id, 'no event' FROM chosen WHERE NOT EXISTS (
          SELECT FROM happened WHERE workflow_id = id)
        """,
    ),
    Invariant(
        11,
        "What a join still waits for is never below 0, and 0 when all its parts have settled and"
        " not before.",
        # A failure that is tolerated has settled its part, one that holds the workflow has not.
        f"""
        SELECT w.id, j.key || ': ' || j.remaining || ' of ' || count(*) || ', '
               || count(*) FILTER (WHERE p.status IN {_DONE}) || ' settled'
          FROM chosen w
          JOIN steps j ON j.workflow_id = w.id AND j.remaining IS NOT NULL
           AND j.status NOT IN ('skipped', 'compensated') AND NOT {_IS_TURN_OR_WAY}
          JOIN steps p ON p.workflow_id = w.id AND p.join_key = j.key
         WHERE w.status IN ('running', 'succeeded')
         GROUP BY w.id, j.key, j.remaining
        HAVING j.remaining NOT BETWEEN count(*) FILTER (WHERE p.status NOT IN {_DONE}
                                                          AND p.status <> 'failed')
                                   AND count(*) FILTER (WHERE p.status NOT IN {_DONE})
        UNION ALL
        SELECT w.id, j.key FROM chosen w
          JOIN steps j ON j.workflow_id = w.id AND j.remaining < 0
        """,
    ),
    Invariant(12, "Of a map at most max_concurrency items are released and not settled."),
    Invariant(
        13,
        "next_wake_at is not later than the earliest thing that is due, a message that is out"
        " aside (publish_after), nor than a second from now.",
        """
        SELECT w.id, s.key || ' ' || s.status FROM chosen w JOIN steps s ON s.workflow_id = w.id
         CROSS JOIN (SELECT playalter_now() AS now,
                            playalter_now() - clock_timestamp() AS shift) AS t
         WHERE w.completed_at IS NULL AND w.paused_at IS NULL
           AND (s.status IN ('running', 'waiting') OR s.status IN ('pending', 'unknown')
                AND s.publish_after IS NOT NULL)
           AND (w.status = 'running' OR s.kind <> 'step' OR s.status <> 'waiting')
           AND w.next_wake_at - interval '1 s' > greatest(t.now, CASE s.status
                 WHEN 'running' THEN greatest(s.lease_until, s.publish_after) + t.shift
                 WHEN 'waiting' THEN s.wake_at
                 ELSE greatest(s.publish_after + t.shift, coalesce(s.wake_at, '-infinity')) END)
        """,
    ),
    Invariant(14, "A holder whose fence is no longer the step's records nothing."),
    Invariant(15, "While a workflow is paused nothing of it is claimed and nothing is published."),
    Invariant(
        16,
        "Nothing of a workflow that has ended is pending, running or waiting, but what takes back"
        " an orphan effect.",
        f"SELECT w.id, s.key || ' ' || s.status FROM chosen w JOIN steps s ON s.workflow_id = w.id"
        f" WHERE w.status IN {_TERMINAL} AND s.status IN ('pending', 'running', 'waiting')"
        " AND s.kind <> 'orphan_undo'",
    ),
    Invariant(
        17,
        "What follows a step that is done is released with its outcome, while the workflow runs.",
        """
        SELECT w.id, s.key || ' after ' || p.key FROM chosen w
          JOIN steps p ON p.workflow_id = w.id AND p.status IN ('succeeded', 'skipped')
          JOIN steps s ON s.workflow_id = w.id AND s.key = ANY (p.next_keys)
         WHERE w.status = 'running' AND s.status = 'pending' AND s.publish_after IS NULL
        UNION ALL
        SELECT w.id, j.key FROM chosen w JOIN steps j ON j.workflow_id = w.id AND j.remaining = 0
         WHERE w.status = 'running' AND j.status = 'pending' AND j.publish_after IS NULL
        """,
    ),
    Invariant(
        18,
        "An orphan effect is told of once and has its compensation, and no step waits for it.",
        """
        SELECT o.workflow_id, o.b ->> 'step' || ' ' || (o.b -> 'data' ->> 'external_id')
          FROM (SELECT workflow_id, b, count(*) OVER (
                  PARTITION BY workflow_id, b -> 'step', b -> 'data') AS times
                  FROM happened WHERE b ->> 'type' = 'OrphanFound') AS o
         WHERE o.times > 1 OR NOT EXISTS (
                 SELECT FROM steps f JOIN steps u ON u.workflow_id = f.workflow_id
                    AND u.kind = 'orphan_undo' AND u.of_key = f.key
                  WHERE f.workflow_id = o.workflow_id AND f.kind = 'orphan'
                    AND f.of_key = o.b ->> 'step'
                    AND f.external_id = o.b -> 'data' ->> 'external_id')
            OR EXISTS (
                 SELECT FROM steps s WHERE s.external_id = o.b -> 'data' ->> 'external_id'
                    AND s.status = 'waiting')
        """,
    ),
    Invariant(
        19,
        "What a budget has spent and reserved is not more than its amount, what was spent on"
        " orphan effects, above a ceiling, and by a child that cannot be undone any more aside.",
        """
        SELECT w.id, b.spent || ' + ' || b.reserved || ' of ' || b.amount
          FROM chosen w JOIN budgets b ON b.workflow_id = w.id
         WHERE b.applies AND b.spent + b.reserved > b.amount AND NOT EXISTS (
                 SELECT FROM workflows o JOIN steps s ON s.workflow_id = o.id
                   LEFT JOIN budgets i ON i.workflow_id = o.budget_id
                  WHERE s.kind = 'orphan_undo' AND s.cost > 0
                    AND (o.budget_id = w.id OR i.within_id = w.id))
           AND NOT EXISTS (SELECT FROM workflows o WHERE o.outlives_budget
                              AND o.parent_id IS NOT NULL AND outlives_budget_v1(o.id, w.id))
           AND NOT EXISTS (SELECT FROM happened e
                            WHERE e.b -> 'data' ->> 'reason' = 'cost_above_ceiling')
        """,
    ),
    Invariant(
        20,
        "A budget has spent and reserved what the steps of its workflow and of those below have,"
        " and their effects that are not decided yet.",
        """
        SELECT b.workflow_id, concat_ws(' ', 'spent', b.spent, 'not', t.spent,
                                        'reserved', b.reserved, 'not', t.reserved)
          FROM budgets b JOIN chosen w ON w.id = b.workflow_id CROSS JOIN LATERAL (
            WITH RECURSIVE below AS (
              SELECT id FROM workflows WHERE id = b.workflow_id
              UNION ALL SELECT c.id FROM below JOIN workflows c ON c.parent_id = below.id)
            SELECT coalesce(sum(s.cost), 0) AS spent, coalesce(sum(s.reserved), 0) + (
                     SELECT coalesce(sum(d.reserved), 0) FROM webhook_deliveries d
                      WHERE d.effect_workflow_id IN (SELECT id FROM below)) AS reserved
              FROM below JOIN steps s ON s.workflow_id = below.id) AS t
         WHERE (b.spent, b.reserved) <> (t.spent, t.reserved)
        """,
    ),
    Invariant(
        21,
        "A step that has ended, or whose workflow has, has no reservation, but one that is still to"
        " be undone. An orphan has one until it is undone, and an effect that its step has given up"
        " until it is decided.",
        f"SELECT w.id, s.key || ' ' || s.status FROM chosen w JOIN steps s ON s.workflow_id = w.id"
        f" WHERE s.reserved > 0 AND CASE s.kind"
        f" WHEN 'step' THEN w.status IN {_TERMINAL} OR s.status IN {_DONE}"
        " WHEN 'orphan' THEN NOT EXISTS (SELECT FROM steps u WHERE u.workflow_id = w.id"
        " AND u.of_key = s.key AND u.kind = 'orphan_undo' AND u.status <> 'succeeded')"
        " ELSE true END"
        " UNION ALL SELECT w.id, d.effect_id FROM chosen w"
        " JOIN webhook_deliveries d ON d.effect_workflow_id = w.id"
        " WHERE d.reserved > 0 AND d.fate IS NOT NULL",
    ),
    Invariant(
        22,
        "A workflow without a parent that has failed for good is a dead letter, and no other one"
        " is. What a person decided, by a cancel or a rejection, has not failed for good.",
        f"""
        SELECT w.id, w.status || ' and not recorded' FROM chosen w
         WHERE w.parent_id IS NULL AND w.cause <> 'cancelled'
           AND w.status IN {_TERMINAL} AND w.status <> 'succeeded'
           AND NOT EXISTS (SELECT FROM dead_letters d WHERE d.workflow_id = w.id)
           AND NOT EXISTS (SELECT FROM happened e WHERE e.workflow_id = w.id
                 AND e.b ->> 'type' = 'StepFailed'
                 AND e.b -> 'data' ->> 'code' IN ('rejected', 'child_failed'))
        UNION ALL
        SELECT w.id, w.status || ' and recorded' FROM chosen w
          JOIN dead_letters d ON d.workflow_id = w.id
         WHERE w.parent_id IS NOT NULL OR w.cause = 'cancelled'
            OR w.status NOT IN ('failed', 'compensated', 'compensating')
        """,
    ),
)
