"""What may be asked of the rows: the read side. Nothing here changes anything.

Every question names the user who asks; the rows of another answer as if they were not there. A
replica answers where there is one; the primary is asked for a workflow that it does not know yet.
"""

from app.queries.details import WAITS_FOR_WORKER, workflow_detail
from app.queries.gauges import MOST_COUNTED, live_workflows, platform_health
from app.queries.happenings import Tail, Watched, workflow_events, workflow_tails
from app.queries.lists import Filters, Page, workflow_list
from app.queries.summaries import summary, workflow_summary
from app.queries.suspension import SHOWN_STATUSES, SUSPENDED

__all__ = [
    "MOST_COUNTED",
    "SHOWN_STATUSES",
    "SUSPENDED",
    "WAITS_FOR_WORKER",
    "Filters",
    "Page",
    "Tail",
    "Watched",
    "live_workflows",
    "platform_health",
    "summary",
    "workflow_detail",
    "workflow_events",
    "workflow_list",
    "workflow_summary",
    "workflow_tails",
]
