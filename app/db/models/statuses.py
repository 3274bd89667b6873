"""The words that columns take; each CHECK is made from them."""

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
"""Those that an index is kept for: most workflows run and succeed."""
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
CAUSES = ("failed", "timed_out", "cancelled", "over_budget")
RESOLUTIONS = ("accepted", "refused", "never")
