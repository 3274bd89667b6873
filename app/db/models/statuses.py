"""The values that columns of fixed values may have; their CHECK constraints are made from these."""

WORKFLOW_STATUSES = (
    "pending",
    "running",
    "succeeded",
    "failed",
    "compensating",
    "compensated",
    "cancelled",
)
TERMINAL_WORKFLOW_STATUSES = ("succeeded", "failed", "compensated", "cancelled")
RARE_WORKFLOW_STATUSES = ("pending", "failed", "compensating", "compensated", "cancelled")
"""The statuses for which an index is kept. It is small: most workflows run or have succeeded."""
STEP_STATUSES = (
    "pending",
    "running",
    "waiting",
    "unknown",
    "succeeded",
    "failed",
    "skipped",
    "cancelled",
    "compensated",
)
STEP_ROLES = ("shape", "wait", "approval")
"""The roles of nodes that call no platform. A node that calls one has no role."""
STEP_KINDS = ("step", "undo", "orphan", "orphan_undo")
UNDO_KINDS = ("undo", "orphan_undo")
"""The kinds of rows that are compensations."""
CAUSES = ("failed", "timed_out", "cancelled", "over_budget")
RESOLUTIONS = ("accepted", "refused", "never")
MATCH_OUTCOMES = (
    *("pending", "started", "repeated", "refused", "raised", "stopped"),
    "dropped",
)
"""What became of an incoming event at a trigger."""
VERIFICATIONS = ("standard_webhooks", "hmac", "none")
"""How the webhooks of a source are verified."""
