"""The tables as SQLAlchemy models. A test compares them with a migrated database."""

from app.db.models.base import Base
from app.db.models.dead_letters import DeadLetterRow
from app.db.models.definitions import DefinitionActivation, DefinitionRow
from app.db.models.files import ArtifactRow, WorkflowArtifact
from app.db.models.machinery import (
    AdmissionRow,
    ClockOffset,
    FrontBeat,
    JobResult,
    LaneEntryRow,
    LaneRow,
    QueueRow,
    ReconcilerBeat,
    SchemaBaseline,
    WorkerPresence,
)
from app.db.models.people import ApiKey, Organisation, Project, User
from app.db.models.platforms import PlatformHealth, PlatformLog, WebhookDelivery
from app.db.models.record import EventRow, IntentRow, PlatformObject, WatchedWorkflow
from app.db.models.schedules import (
    OVERLAPS,
    RUN_KINDS,
    RUN_OUTCOMES,
    CalendarRow,
    ScheduleBackfillRow,
    ScheduleBeat,
    ScheduleEventRow,
    ScheduleRow,
    ScheduleRunRow,
    ScheduleStopRow,
)
from app.db.models.statuses import (
    CAUSES,
    RARE_WORKFLOW_STATUSES,
    RESOLUTIONS,
    STEP_KINDS,
    STEP_ROLES,
    STEP_STATUSES,
    TERMINAL_WORKFLOW_STATUSES,
    UNDO_KINDS,
    WORKFLOW_STATUSES,
)
from app.db.models.workflows import BookedEffectRow, BudgetRow, ChildCostRow, StepRow, WorkflowRow

__all__ = [
    "CAUSES",
    "OVERLAPS",
    "RARE_WORKFLOW_STATUSES",
    "RESOLUTIONS",
    "RUN_KINDS",
    "RUN_OUTCOMES",
    "STEP_KINDS",
    "STEP_ROLES",
    "STEP_STATUSES",
    "TERMINAL_WORKFLOW_STATUSES",
    "UNDO_KINDS",
    "WORKFLOW_STATUSES",
    "AdmissionRow",
    "ApiKey",
    "ArtifactRow",
    "Base",
    "BookedEffectRow",
    "BudgetRow",
    "CalendarRow",
    "ChildCostRow",
    "ClockOffset",
    "DeadLetterRow",
    "DefinitionActivation",
    "DefinitionRow",
    "EventRow",
    "FrontBeat",
    "IntentRow",
    "JobResult",
    "LaneEntryRow",
    "LaneRow",
    "Organisation",
    "PlatformHealth",
    "PlatformLog",
    "PlatformObject",
    "Project",
    "QueueRow",
    "ReconcilerBeat",
    "ScheduleBackfillRow",
    "ScheduleBeat",
    "ScheduleEventRow",
    "ScheduleRow",
    "ScheduleRunRow",
    "ScheduleStopRow",
    "SchemaBaseline",
    "StepRow",
    "User",
    "WatchedWorkflow",
    "WebhookDelivery",
    "WorkerPresence",
    "WorkflowArtifact",
    "WorkflowRow",
]
