"""A database whose reconciler has run before."""

import pytest

from app import db
from chains.repair import reconcile
from tests.integration.conftest import Kernel


@pytest.fixture
def seen_before(kernel: Kernel) -> None:
    """The reconciler's first pass ever gives one lease of grace; here that is over."""
    reconcile.reconcile()
    db.row("UPDATE reconciler_beat SET grace_until = clock_timestamp()", ())
