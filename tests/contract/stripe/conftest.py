"""Whole workflows that pay at the sandbox."""

from collections.abc import Callable

import pytest

from app import db
from app.settings import Settings
from tests.integration.conftest import Kernel, kernel_of_ada


@pytest.fixture
def kernel(configure: Callable[..., Settings], fresh_database: str, valkey_url: str) -> Kernel:
    """A user's workflows, which pay at the sandbox."""
    configure(DATABASE_URL=fresh_database, REDIS_URL=valkey_url)
    db.row("SELECT create_user_v1('ada@example.com')", ())
    return kernel_of_ada()
