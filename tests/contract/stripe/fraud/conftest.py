"""Workflows whose payments are counted."""

from collections.abc import Callable

import pytest

from app.identity import keys
from app.settings import Settings
from tests.contract.stripe.fraud.reviewing import KEY
from tests.integration.conftest import Kernel, kernel_of_ada


@pytest.fixture
def kernel(configure: Callable[..., Settings], fresh_database: str, valkey_url: str) -> Kernel:
    """A user's workflows; payments are counted."""
    configure(
        DATABASE_URL=fresh_database,
        REDIS_URL=valkey_url,
        STRIPE_INDEX_KEY=KEY,
        STRIPE_REVIEW_RULES="card 2/1h, email 90000eur/1d, amount 50000eur",
    )
    keys.create_key("ada@example.com")
    return kernel_of_ada()
