"""The tables, as the migrations leave them; a test holds the two against each other."""

from app.models.base import Base
from app.models.definitions import DefinitionActivation, DefinitionRow
from app.models.files import ArtifactRow
from app.models.machinery import ClockOffset, ReconcilerBeat, WorkerPresence
from app.models.people import ApiKey, User
from app.models.platforms import PlatformHealth, PlatformLog, WebhookDelivery
from app.models.record import EventRow, IntentRow
from app.models.statuses import (
    CAUSES,
    RARE_WORKFLOW_STATUSES,
    RESOLUTIONS,
    STEP_STATUSES,
    TERMINAL_WORKFLOW_STATUSES,
    WORKFLOW_STATUSES,
)
from app.models.workflows import StepRow, WorkflowRow

__all__ = [
    "CAUSES",
    "RARE_WORKFLOW_STATUSES",
    "RESOLUTIONS",
    "STEP_STATUSES",
    "TERMINAL_WORKFLOW_STATUSES",
    "WORKFLOW_STATUSES",
    "ApiKey",
    "ArtifactRow",
    "Base",
    "ClockOffset",
    "DefinitionActivation",
    "DefinitionRow",
    "EventRow",
    "IntentRow",
    "PlatformHealth",
    "PlatformLog",
    "ReconcilerBeat",
    "StepRow",
    "User",
    "WebhookDelivery",
    "WorkerPresence",
    "WorkflowRow",
]
