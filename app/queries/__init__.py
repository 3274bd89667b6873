"""The read side: queries, which change nothing.

Every query for workflows names the user who asks, and does not find the workflows of other users.
There are two exceptions: approvals that name the user, and operators, who have an admin key. An
operator finds the workflows of all users, without the payloads of other users' workflows.
Details, lists, events and gauges are read from a replica if there is one. If the replica does not
have a workflow yet, the primary is asked.
"""

from app.queries.archived import ArchivedFilters, archived_list, archived_workflow
from app.queries.cursors import CURSOR_PATTERN, cursor_of
from app.queries.details import WAITS_FOR_WORKER, workflow_detail
from app.queries.gauges import (
    MOST_COUNTED,
    allowances,
    hourly_usd,
    live_workflows,
    open_circuits,
    platform_health,
    platform_states,
    running_at_platforms,
)
from app.queries.happenings import Tail, Watched, workflow_events, workflow_tails
from app.queries.incoming import event_waits, incoming_event, incoming_events
from app.queries.lists import Filters, Page, workflow_list
from app.queries.probing import Probe
from app.queries.queues import MOST_LINED_UP, lined_up, queue_states
from app.queries.summaries import workflow_summary
from app.queries.suspension import SHOWN_STATUSES, SUSPENDED

__all__ = [
    "CURSOR_PATTERN",
    "MOST_COUNTED",
    "MOST_LINED_UP",
    "SHOWN_STATUSES",
    "SUSPENDED",
    "WAITS_FOR_WORKER",
    "ArchivedFilters",
    "Filters",
    "Page",
    "Probe",
    "Tail",
    "Watched",
    "allowances",
    "archived_list",
    "archived_workflow",
    "cursor_of",
    "event_waits",
    "hourly_usd",
    "incoming_event",
    "incoming_events",
    "lined_up",
    "live_workflows",
    "open_circuits",
    "platform_health",
    "platform_states",
    "queue_states",
    "running_at_platforms",
    "workflow_detail",
    "workflow_events",
    "workflow_list",
    "workflow_summary",
    "workflow_tails",
]
